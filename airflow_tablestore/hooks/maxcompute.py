"""The `maxcompute` connection of Airflow's Alibaba provider as the warehouse that exports load.

The connection type belongs to `apache-airflow-providers-alibaba`; a connection that works there works here. Its own
hook is not used because one commit for a whole run needs upload sessions, which it does not offer.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook

from airflow_tablestore.hooks.fields import fields_of

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.connections import Fields
    from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute, MaxComputeEndpoint


class WarehouseHook(BaseHook):
    """Reaches MaxCompute through an Airflow connection of type `maxcompute`.

    :param maxcompute_conn_id: `project`, `endpoint`, `access_key_id` and `access_key_secret` are extras, `sts_token`,
        `region` and `tunnel_endpoint` may be.
    """

    conn_name_attr = "maxcompute_conn_id"
    default_conn_name = "maxcompute_default"
    conn_type = "maxcompute"
    hook_name = "MaxCompute"

    def __init__(self, maxcompute_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.maxcompute_conn_id = maxcompute_conn_id

    def endpoint(self, project: str = "") -> MaxComputeEndpoint:
        """Where the connection leads, and with which key.

        :param project: goes before the connection's own.
        :raises SpecError: a field is missing or cannot be right; the message names it.
        """
        from airflow_tablestore.pipeline.connections import maxcompute_endpoint

        return maxcompute_endpoint(self._fields, project)

    def warehouse(self, project: str = "") -> MaxCompute:
        """The tables of a project."""
        from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute

        return MaxCompute(self.endpoint(project))

    @cached_property
    def _fields(self) -> Fields:
        return fields_of(self.get_connection(self.maxcompute_conn_id))
