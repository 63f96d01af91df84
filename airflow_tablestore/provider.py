"""What Airflow learns about this package before it imports any of it.

Every Airflow process reads it at its start, so nothing is imported here; the names below are resolved when needed. The
connection form is described here and not by hook methods, as Airflow has it since 3.2.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_tablestore import __version__
from airflow_tablestore.errors import Problem, SpecError

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

    from airflow_tablestore.pipeline.connections import Fields


def get_provider_info() -> dict[str, Any]:
    """The provider's description, as Airflow's `provider_info.schema.json` wants it."""
    return {
        "package-name": "airflow-tablestore",
        "name": "Tablestore",
        "description": "Declarative pipelines for Alibaba Cloud `Tablestore <https://www.alibabacloud.com/product/table-store>`__.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.alibabacloud.com/help/en/tablestore",
                "tags": ["alibaba"],
            }
        ],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_tablestore.hooks.tablestore",
                    "airflow_tablestore.hooks.oss",
                    "airflow_tablestore.hooks.maxcompute",
                ],
            }
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_tablestore.operators.full_export",
                    "airflow_tablestore.operators.incremental",
                    "airflow_tablestore.operators.delivery",
                    "airflow_tablestore.operators.tunnel",
                    "airflow_tablestore.operators.restore",
                    "airflow_tablestore.operators.snapshot",
                    "airflow_tablestore.operators.verify",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_tablestore.sensors.windows",
                    "airflow_tablestore.sensors.delivery",
                    "airflow_tablestore.sensors.tunnel",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_tablestore.triggers.windows",
                    "airflow_tablestore.triggers.ledger",
                    "airflow_tablestore.triggers.delivery",
                    "airflow_tablestore.triggers.tunnel",
                    "airflow_tablestore.triggers.unread",
                ],
            }
        ],
        "connection-types": [_TABLESTORE_CONNECTION],
        "extra-links": ["airflow_tablestore.operators.links.PublishedObjectsLink"],
        "asset-uris": [
            {
                "schemes": ["tablestore"],
                "handler": "airflow_tablestore.assets.sanitize_uri",
                "factory": "airflow_tablestore.assets.create_asset",
                "to_openlineage_converter": "airflow_tablestore.assets.to_openlineage",
            }
        ],
        "cli": ["airflow_tablestore.provider.cli_commands"],
    }


def cli_commands() -> list[CLICommand]:
    """The commands of `airflow-tablestore` as `airflow tablestore …`, with connections as Airflow has them."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    from airflow_tablestore.cli.command import DEBUG, Command, Group
    from airflow_tablestore.cli.commands import COMMANDS, GROUP, GROUP_HELP

    make_arg: Callable[..., Any] = Arg  # Airflow leaves it without types

    def made(command: Command | Group) -> CLICommand:
        if isinstance(command, Group):
            inner: Any = [made(one) for one in command.commands]  # Airflow nests groups, and types them as if not
            return GroupCommand(name=command.name, help=command.help, subcommands=inner)
        return ActionCommand(
            name=command.name,
            help=command.help,
            description=command.description,
            func=partial(_run_command, command.place),
            args=[make_arg(argument.flags, **argument.settings) for argument in (*command.arguments, DEBUG)],
        )

    commands: Any = [made(command) for command in COMMANDS]
    return [GroupCommand(name=GROUP, help=GROUP_HELP, subcommands=commands)]


def _run_command(place: str, arguments: Namespace) -> None:
    from airflow_tablestore.cli.session import Session, call

    sys.exit(call(place, arguments, Session(connection=_connection)))


def _connection(conn_id: str) -> Fields:
    """A connection from wherever Airflow keeps it: environment, secrets backend or database.

    :raises SpecError: there is none of this name.
    """
    from airflow.models.connection import Connection
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    from airflow_tablestore.hooks.fields import fields_of

    try:
        # Not BaseHook's way: outside a task, Airflow 3.1 has nobody there to ask.
        return fields_of(Connection.get_connection_from_secrets(conn_id))
    except AirflowNotFoundException as error:
        raise SpecError(
            [Problem(f"Airflow has no connection '{conn_id}'", f"airflow connections add {conn_id} …")]
        ) from error


_INTEGRATION = "Alibaba Cloud Tablestore"

_TABLESTORE_CONNECTION = {
    "connection-type": "tablestore",
    "hook-name": "Tablestore",
    "hook-class-name": "airflow_tablestore.hooks.tablestore.TablestoreHook",
    # The port stays visible: up to 3.3.2 the form's Test button answers "Bad Request" for a connection without one
    # (apache/airflow#73298).
    "ui-field-behaviour": {
        "hidden-fields": ["schema"],
        "relabeling": {"host": "Endpoint", "login": "Access Key ID", "password": "Access Key Secret"},
        "placeholders": {
            "host": "https://my-instance.cn-hangzhou.ots.aliyuncs.com",
            "port": "443",
            "login": "LTAI…",
        },
    },
    "conn-fields": {
        "instance": {
            "label": "Instance",
            "description": "Name of the Tablestore instance. Empty: the first label of the endpoint's host name.",
            "schema": {"type": ["string", "null"]},
        },
        "region": {
            "label": "Region",
            "description": "For example cn-hangzhou. When set, requests are signed with V4, else with V2.",
            "schema": {"type": ["string", "null"]},
        },
        "sts_token": {
            "label": "STS Token",
            "description": "Security token of temporary credentials.",
            "schema": {"type": ["string", "null"], "format": "password"},
        },
        "credentials_file": {
            "label": "Credentials file",
            "description": "Path of a JSON file with the keys, on every worker; read anew while a task works.",
            "schema": {"type": ["string", "null"]},
        },
        "timeout_seconds": {
            "label": "Timeout in seconds",
            "description": "How long one request may wait for its answer. Empty: the package's default.",
            "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 600},
        },
        "compress": {
            "label": "Compress",
            "description": "deflate asks for compressed answers, for links below a gigabit a second. Empty: none.",
            "schema": {"type": ["string", "null"], "enum": ["", "deflate", None]},
        },
    },
}
