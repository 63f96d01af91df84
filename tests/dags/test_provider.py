"""What Airflow sees of the package: its provider description, its connection form, its assets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.provider import get_provider_info


def test_the_description_is_valid_by_airflows_own_schema():
    import airflow
    import jsonschema

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())

    jsonschema.validate(get_provider_info(), schema)


def test_every_named_object_exists():
    from airflow.providers.common.compat.module_loading import import_string

    told = get_provider_info()
    uris = told["asset-uris"][0]
    names = [
        *told["cli"],
        *told["extra-links"],
        *(c["hook-class-name"] for c in told["connection-types"]),
        *(uris[key] for key in ("handler", "factory", "to_openlineage_converter")),
    ]

    for name in names:
        assert callable(import_string(name))
    for part in (*told["hooks"], *told["operators"], *told["sensors"], *told["triggers"]):
        for module in part["python-modules"]:
            __import__(module)


def test_airflow_finds_the_provider_and_its_connection_form():
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()

    assert manager.providers["airflow-tablestore"].version
    assert manager.hooks["tablestore"].hook_class_name == "airflow_tablestore.hooks.tablestore.TablestoreHook"
    assert "airflow_tablestore.operators.links.PublishedObjectsLink" in manager.extra_links_class_names


def test_the_port_is_visible_in_the_form():
    behaviour = get_provider_info()["connection-types"][0]["ui-field-behaviour"]

    assert "port" not in behaviour["hidden-fields"]
    assert behaviour["placeholders"]["port"] == "443"


def test_the_sts_token_is_a_password_field():
    form = get_provider_info()["connection-types"][0]["conn-fields"]

    assert form["sts_token"]["schema"]["format"] == "password"


def test_reading_the_description_imports_no_airflow():
    code = (
        "import sys; from airflow_tablestore.provider import get_provider_info; get_provider_info();"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'airflow', 'pyarrow', 'oss2', 'odps', 'tablestore'}))"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"


def test_a_table_asset_names_connection_and_table():
    from airflow_tablestore.assets import table_asset

    assert table_asset("tablestore_default", "ots_gps_data").uri == "tablestore://tablestore_default/ots_gps_data"


@pytest.mark.parametrize(
    "uri",
    ["tablestore://conn", "tablestore://conn/", "tablestore://conn/a/b/c", "tablestore://conn/a//b", "tablestore:///t"],
)
def test_an_asset_that_is_no_table_is_refused(uri):
    from airflow.sdk import Asset

    with pytest.raises(ValueError, match="tablestore://<connection>/<table>"):
        Asset(uri)


def test_a_tunnel_asset_names_the_tunnel_too():
    from airflow_tablestore.assets import tunnel_asset

    assert tunnel_asset("conn", "t", "tunnel_1").uri == "tablestore://conn/t/tunnel_1"


def test_an_objects_asset_ends_before_the_first_placeholder():
    from airflow_tablestore.assets import objects_asset

    assert objects_asset("backup", "gps/full/").uri == "oss://backup/gps/full"
    assert objects_asset("backup", "gps/{run_date:%Y}/").uri == "oss://backup/gps"


def test_lineage_names_the_instance_or_says_nothing():
    from airflow_tablestore.assets import table_asset, to_openlineage

    class Hook:
        instance = "fleet"

    asset = table_asset("tablestore_default", "orders")
    dataset = to_openlineage(asset, Hook())

    assert to_openlineage(asset, None) is None
    assert (dataset.namespace, dataset.name) == ("tablestore://fleet", "orders")


def test_the_commands_are_mounted_in_airflows_command_line():
    from airflow_tablestore.provider import cli_commands

    (group,) = cli_commands()

    assert group.name == "tablestore"
    assert {c.name for c in group.subcommands} >= {"lint", "schema", "plan", "explain", "schema-of", "doctor", "run"}


def test_commands_of_a_group_are_mounted_under_its_name():
    from airflow_tablestore.provider import cli_commands

    (stream,) = [c for c in cli_commands()[0].subcommands if c.name == "stream"]

    assert {c.name for c in stream.subcommands} == {"enable", "disable", "describe", "tail"}
    assert all(callable(c.func) for c in stream.subcommands)


def test_a_mounted_command_ends_with_the_exit_code_of_its_own(tmp_path, capsys):
    import argparse

    from airflow_tablestore.provider import cli_commands

    bad = tmp_path / "bad.yaml"
    bad.write_text("pipeline: bad\nkind: full_export\n")
    (lint,) = [c for c in cli_commands()[0].subcommands if c.name == "lint"]
    parser = argparse.ArgumentParser()
    for argument in lint.args:
        argument.add_to_parser(parser)

    with pytest.raises(SystemExit) as ended:
        lint.func(parser.parse_args([str(bad)]))

    assert ended.value.code == 1
    assert "source: is missing" in capsys.readouterr().out


def test_a_mounted_command_asks_airflow_for_connections(connection, database):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    from airflow_tablestore.errors import SpecError
    from airflow_tablestore.provider import _connection

    with create_session() as session:
        session.add(Connection(conn_id="stored", conn_type="tablestore", host="https://stored.example"))
    connection("fleet", '{"conn_type": "tablestore", "host": "https://fleet.example"}')

    assert _connection("stored").host == "https://stored.example"
    assert _connection("fleet").host == "https://fleet.example"
    with pytest.raises(SpecError, match="Airflow has no connection 'nobody'"):
        _connection("nobody")
