"""The only place with sockets: one method that sends a Call."""

from airflow_tablestore.client.client import Client, Surroundings
from airflow_tablestore.client.credentials import RenewedKeys
from airflow_tablestore.client.endpoint import Endpoint
from airflow_tablestore.client.retry import NO_RETRY, OnRetry, RetryPolicy

__all__ = ["NO_RETRY", "Client", "Endpoint", "OnRetry", "RenewedKeys", "RetryPolicy", "Surroundings"]
