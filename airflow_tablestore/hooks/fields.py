"""An Airflow connection as the fields from which the engine makes its endpoints.

What the fields mean is decided in `pipeline.connections`, for the command line and Airflow alike; here they are only
carried over, and what is secret in them is hidden from logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import mask_secret

if TYPE_CHECKING:
    from airflow.models.connection import Connection as StoredConnection
    from airflow.providers.common.compat.sdk import Connection

    from airflow_tablestore.pipeline.connections import Fields

SECRET_EXTRAS = ("access_key_secret", "sts_token")


def fields_of(connection: Connection | StoredConnection | Fields) -> Fields:
    """The connection's fields. Its password and secret extras are masked in every later log line of this process.

    In a triggerer this must be called on the event loop: masking tells the triggerer's parent, and Airflow 3.1 mixes up
    the answers, and ends, when that is done from another thread. What is made here may be handed to a thread.
    """
    from airflow_tablestore.pipeline.connections import Fields

    if isinstance(connection, Fields):
        return connection
    extra = connection.extra_dejson
    for secret in (connection.password, *(extra.get(name) for name in SECRET_EXTRAS)):
        if isinstance(secret, str) and secret:
            mask_secret(secret)
    return Fields(
        conn_type=connection.conn_type or "",
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        schema=connection.schema,
        extra=extra,
        conn_id=connection.conn_id or "",
    )
