"""Tunnel Service for Python: what a tunnel carries, as batches, with the channels of it shared between workers."""

from airflow_tablestore.consumer.tunnel.batch import Batch
from airflow_tablestore.consumer.tunnel.meter import Usage
from airflow_tablestore.consumer.tunnel.reader import TunnelReader, Until
from airflow_tablestore.consumer.tunnel.settings import Settings

__all__ = ["Batch", "Settings", "TunnelReader", "Until", "Usage"]
