"""The `oss` connection of Airflow's Alibaba provider as the store that exports write to.

The connection type belongs to `apache-airflow-providers-alibaba`; a connection that works there works here. Its own
hook is not used because publication needs multipart uploads and conditional puts, which it does not offer.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import BaseHook

from airflow_tablestore.hooks.fields import fields_of

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.connections import Fields
    from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint


# oss2 logs every 404 of a HEAD or GET at INFO as an exception; in a task's log that looks like a failure.
logging.getLogger("oss2").setLevel(logging.WARNING)


class ObjectStoreHook(BaseHook):
    """Reaches OSS through an Airflow connection of type `oss`.

    :param oss_conn_id: `endpoint`, `access_key_id` and `access_key_secret` are extras, `region` and `sts_token` may be.
    """

    conn_name_attr = "oss_conn_id"
    default_conn_name = "oss_default"
    conn_type = "oss"
    hook_name = "OSS"

    def __init__(self, oss_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.oss_conn_id = oss_conn_id

    def endpoint(self, bucket: str = "") -> OssEndpoint:
        """Where the connection leads, and with which key.

        :param bucket: refuses an endpoint that holds this bucket's name already.
        :raises SpecError: a field is missing or cannot be right; the message names it.
        """
        from airflow_tablestore.pipeline.connections import oss_endpoint

        return oss_endpoint(self._fields, bucket)

    def store(self, bucket: str) -> ObjectStore:
        """The objects of a bucket."""
        from airflow_tablestore.pipeline.sinks.oss import ObjectStore

        return ObjectStore(self.endpoint(bucket), bucket)

    def objects_url(self, bucket: str, prefix: str) -> str:
        """A page that lists the objects under a prefix: OSS's console, or the endpoint's own listing elsewhere."""
        return listing_url(self.endpoint().url, bucket, prefix)

    @cached_property
    def _fields(self) -> Fields:
        return fields_of(self.get_connection(self.oss_conn_id))


def listing_url(endpoint_url: str, bucket: str, prefix: str) -> str:
    """Where a person can look at the objects under a prefix. Holds no credentials.

    Source: the address that the OSS console shows while one browses a bucket; its region is that of the endpoint's
    name, oss-<region>[-internal].aliyuncs.com.
    """
    address = urlsplit(endpoint_url)
    host = address.hostname or ""
    if host.startswith("oss-") and host.endswith(".aliyuncs.com"):
        region = host.split(".", 1)[0].removesuffix("-internal")
        return f"https://oss.console.aliyun.com/bucket/{region}/{quote(bucket)}/object?path={quote(prefix, safe='')}"
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{host}{port}/{quote(bucket)}/?prefix={quote(prefix, safe='')}"
