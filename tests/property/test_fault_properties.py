"""Rows that fail on demand, against a dictionary: what is told is what is kept, whatever rules there are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.faults import Asked, Fault, Faults, Kind
from airflow_tablestore.emulator.gate import ServiceFaults
from airflow_tablestore.emulator.tablestore.faulty import faulty
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_key, encode_put
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Cell

TABLES = ("even", "odd")
INSTANCES = (f"inst-{number}" for number in itertools.count())

rules = st.builds(
    Fault,
    kind=st.just(Kind.ROW_ERROR),
    code=st.sampled_from(["OTSServerBusy", "OTSRowOperationConflict"]),
    table=st.sampled_from(["*", "even", "o*"]),
    operation=st.sampled_from(["*", "BatchWriteRow", "BatchGetRow"]),
    probability=st.sampled_from([0.2, 0.5, 1.0]),
    seed=st.integers(0, 9),
    skip=st.integers(0, 4),
    count=st.one_of(st.none(), st.integers(1, 5)),
)
batches = st.lists(
    st.dictionaries(st.sampled_from(TABLES), st.lists(st.integers(0, 12), min_size=1, max_size=8), min_size=1),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service(None, Clock())
    yield service
    service.close()


def make_tables(service: Service, instance: str) -> None:
    for name in TABLES:
        request = pb.CreateTableRequest()
        request.table_meta.table_name = name
        request.table_meta.primary_key.add(name="id", type=pb.INTEGER)
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live, request.table_options.max_versions = -1, 1
        service.answer("CreateTable", instance, request.SerializeToString())


def kept(service: Service, instance: str, table: str) -> dict[int, int]:
    request = pb.GetRangeRequest(
        table_name=table,
        direction=pb.FORWARD,
        max_versions=1,
        inclusive_start_primary_key=encode_key((("id", INF_MIN),)),
        exclusive_end_primary_key=encode_key((("id", INF_MAX),)),
    )
    answer = pb.GetRangeResponse.FromString(service.answer("GetRange", instance, request.SerializeToString()))
    return {row.key[0][1]: row.cells[0].value for row in decode_rows(answer.rows)}


@settings(max_examples=80, deadline=None)
@given(batches=batches, wanted=st.lists(rules, max_size=3))
def test_a_row_is_written_exactly_when_the_batch_says_so(service, batches, wanted):
    instance, faults, stamp = next(INSTANCES), Faults(), itertools.count()
    make_tables(service, instance)
    for rule in wanted:
        faults.add(rule)
    expected: dict[str, dict[int, int]] = {name: {} for name in TABLES}

    for batch in batches:
        request, values = pb.BatchWriteRowRequest(), []
        for name, ids in batch.items():
            asked = request.tables.add(table_name=name)
            for id_ in ids:
                values.append((name, id_, next(stamp)))
                row = encode_put((("id", id_),), [Cell("n", values[-1][2])])
                asked.rows.add(type=pb.PUT, row_change=row, condition=pb.Condition(row_existence=pb.IGNORE))
        about = ServiceFaults(Asked("tablestore", instance, "BatchWriteRow", tuple(batch)), faults)
        body = faulty(service.answer, about)("BatchWriteRow", instance, request.SerializeToString())
        answer = pb.BatchWriteRowResponse.FromString(body)
        results = [result for table in answer.tables for result in table.rows]
        assert [(table.table_name, len(table.rows)) for table in answer.tables] == [
            (name, len(ids)) for name, ids in batch.items()
        ]
        for (name, id_, value), result in zip(values, results, strict=True):
            if result.is_ok:
                expected[name][id_] = value
            else:
                assert result.error.code in ("OTSServerBusy", "OTSRowOperationConflict")

    assert {name: kept(service, instance, name) for name in TABLES} == expected
