"""A drain that outlives its temporary keys."""

from __future__ import annotations

import json
import time

import pytest
import tablestore as sdk

from airflow_tablestore.consumer.tunnel import Settings, TunnelReader
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.errors import Rejected
from airflow_tablestore.pipeline.connections import Fields, tablestore_client
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType, create_tunnel
from tests.integration.tunnel_writing import ALWAYS

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 120.0
QUICK = Settings(heartbeat_seconds=0.2, timeout_seconds=60, checkpoint_seconds=0.1, pause_seconds=0.1)


class Place:
    """An emulator whose keys change as those of STS do, and the file that whoever renews them writes."""

    def __init__(self, emulator, folder):
        self.emulator, self.file = emulator, folder / "keys.json"
        self.at = emulator.tablestore
        self.renew(1)

    def accept(self, number):
        """From now on these keys are taken, and those before are expired; the tests' writer keeps its own."""
        own = {self.at.access_key_id: self.at.access_key_secret}
        taken = own | {f"STS.{number}": f"secret-{number}"}
        secrets = self.emulator.accounts.secrets
        secrets.update(taken)  # first: at no moment there is none
        for gone in secrets.keys() - taken.keys():
            del secrets[gone]

    def write(self, number):
        keys = {"AccessKeyId": f"STS.{number}", "AccessKeySecret": f"secret-{number}", "SecurityToken": f"t{number}"}
        self.file.write_text(json.dumps(keys))

    def renew(self, number):
        self.write(number)
        self.accept(number)

    def fields(self):
        extra = {"credentials_file": str(self.file), "instance": self.at.instance}
        return Fields("tablestore", host=self.at.endpoint, extra=extra)

    def put(self, table, id_):
        writer = sdk.OTSClient(self.at.endpoint, self.at.access_key_id, self.at.access_key_secret, self.at.instance)
        writer.put_row(table, sdk.Row([("id", id_)], [("n", id_)]), ALWAYS)

    def table(self, name):
        writer = sdk.OTSClient(self.at.endpoint, self.at.access_key_id, self.at.access_key_secret, self.at.instance)
        meta, throughput = sdk.TableMeta(name, [("id", "INTEGER")]), sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        writer.create_table(meta, sdk.TableOptions(), throughput)


@pytest.fixture
def place(tmp_path):
    with Emulator() as emulator:
        yield Place(emulator, tmp_path)


def taken(reader):
    end = time.monotonic() + PATIENCE_SECONDS
    while (batch := reader.take(1.0)) is None:
        assert time.monotonic() < end, "waited in vain"
    with batch:
        return [row.key[0][1] for _, row in batch.rows()]


def test_a_drain_goes_on_when_its_keys_expire(place):
    place.table("keys_renewed")
    with tablestore_client(place.fields) as client:
        tunnel = client.send(
            create_tunnel("keys_renewed", "t", TunnelType.STREAM, StreamRange(flag=StartFlag.EARLIEST))
        )
        with TunnelReader(client, tunnel, settings=QUICK) as reader:
            place.put("keys_renewed", 1)
            first = taken(reader)
            place.renew(2)
            place.put("keys_renewed", 2)

            assert (first, taken(reader)) == ([1], [2])


def test_keys_that_nobody_renews_end_a_drain_with_what_to_look_at(place):
    place.table("keys_expired")
    with tablestore_client(place.fields) as client:
        tunnel = client.send(create_tunnel("keys_expired", "t", TunnelType.STREAM))
        with TunnelReader(client, tunnel, settings=QUICK) as reader:
            assert reader.take(1.0) is None
            place.accept(2)

            with pytest.raises(Rejected, match="OTSAuthFailed"):
                taken(reader)
