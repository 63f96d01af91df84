"""The `tablestore` connection as clients.

`get_conn` gives the client that the pipelines use; `sdk_client` the official one, for control calls and single rows in
hand-written tasks. Neither is imported before it is asked for: hooks are imported when a DAG is parsed.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook

from airflow_tablestore.errors import TablestoreError
from airflow_tablestore.hooks.fields import fields_of

if TYPE_CHECKING:
    from tablestore import OTSClient

    from airflow_tablestore.client import Client, Endpoint
    from airflow_tablestore.pipeline.connections import Fields

_ASKING_AIRFLOW = threading.Lock()
"""A task has one line to its supervisor, and Airflow 3.1 lets two threads talk over it at once."""


class TablestoreHook(BaseHook):
    """Reaches Tablestore through an Airflow connection of type `tablestore`.

    :param tablestore_conn_id: host is the endpoint's URL, login and password are the access key; `instance`, `region`,
        `sts_token`, `credentials_file` and `timeout_seconds` are extras.
    """

    conn_name_attr = "tablestore_conn_id"
    default_conn_name = "tablestore_default"
    conn_type = "tablestore"
    hook_name = "Tablestore"

    def __init__(self, tablestore_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.tablestore_conn_id = tablestore_conn_id

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where the connection leads, and with which key.

        :raises SpecError: a field is missing or cannot be right; the message names it.
        """
        from airflow_tablestore.pipeline.connections import tablestore_endpoint

        return tablestore_endpoint(self._fields())

    @property
    def instance(self) -> str:
        """The instance's name."""
        return self.endpoint.instance

    def get_conn(self, *, max_retries: int | None = None) -> Client:
        """A client of this package; the caller closes it. Temporary keys are read anew while it works.

        :param max_retries: how often a request is sent again; None leaves it to the client.
        """
        from airflow_tablestore.client import RetryPolicy
        from airflow_tablestore.pipeline.connections import tablestore_client

        retry = RetryPolicy() if max_retries is None else RetryPolicy(attempts=max_retries + 1)
        return tablestore_client(self._fields, retry=retry)

    def _fields(self) -> Fields:
        with _ASKING_AIRFLOW:
            return fields_of(self.get_connection(self.tablestore_conn_id))

    def sdk_client(self) -> OTSClient:
        """A client of the official SDK, for control calls and single rows. It knows no close."""
        from tablestore import OTSClient

        at = self.endpoint
        return OTSClient(
            at.url,
            at.access_key_id,
            at.access_key_secret,
            at.instance,
            region=at.region,
            sts_token=at.security_token,
            socket_timeout=at.timeout_seconds,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Whether the tables of the instance can be listed, and what to do when they cannot."""
        from airflow_tablestore.client import Client, RetryPolicy
        from airflow_tablestore.wire.table import list_tables

        try:
            # A person waits for the answer, so the long patience of a running pipeline would be none here.
            with Client(self.endpoint, retry=RetryPolicy(attempts=2)) as client:
                tables = client.send(list_tables())
        except TablestoreError as error:
            return False, str(error)
        return True, f"Instance '{self.instance}' answers; the key sees {len(tables)} table(s)."
