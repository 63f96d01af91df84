"""The official Python SDK, unmodified, against the emulated Tablestore: operations x cases.

Refusals are in test_tablestore_refusals.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    PK_AUTO_INCR,
    BatchGetRowRequest,
    BatchWriteRowRequest,
    CapacityUnit,
    CastType,
    ComparatorType,
    CompositeColumnCondition,
    Condition,
    DeleteRowItem,
    Direction,
    LogicalOperator,
    OTSClient,
    OTSServiceError,
    PutRowItem,
    RegexRule,
    ReservedThroughput,
    ReturnType,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
    SingleColumnRegexCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
    UpdateRowItem,
)

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.server import Server
from airflow_tablestore.emulator.tablestore.app import TablestoreApp
from airflow_tablestore.emulator.tablestore.validation import Limits

ALWAYS = Condition(RowExistenceExpectation.IGNORE)
DAY = 86400
NAMES = itertools.count()


class Serving(Server):
    """The service, which can be told of instances."""

    def __init__(self, app: TablestoreApp):
        super().__init__(app)
        self.instances = app.service.instances


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[Serving]:
    with Serving(TablestoreApp(None, demo_accounts(), clock)) as running:
        yield running


@pytest.fixture
def client(server: Serving) -> OTSClient:
    """A client of an instance of its own."""
    return connect(server)


def connect(server: Serving, **options) -> OTSClient:
    instance = options.pop("instance", f"inst-{next(NAMES)}")
    server.instances.make(instance)
    return OTSClient(server.url, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, instance, **options)


def make_table(client: OTSClient, name="t", keys=(("pk", "STRING"),), defined=(), **options) -> str:
    client.create_table(
        TableMeta(name, list(keys), list(defined)), TableOptions(**options), ReservedThroughput(CapacityUnit(0, 0))
    )
    return name


def put(client: OTSClient, pk, *columns, table="t", condition=ALWAYS):
    return client.put_row(table, Row(key(pk), list(columns)), condition)


def update(client: OTSClient, pk, changes, table="t", condition=ALWAYS, **options):
    return client.update_row(table, Row(key(pk), changes), condition, **options)


def key(pk):
    return pk if isinstance(pk, list) else [("pk", pk)]


def columns_of(client: OTSClient, pk, table="t", **options):
    """Names and values of a row's cells, or None when there is no row."""
    row = client.get_row(table, key(pk), **options)[1]
    return None if row is None else [(name, value) for name, value, _ in row.attribute_columns]


def versions_of(client: OTSClient, pk, **options):
    row = client.get_row("t", key(pk), **{"max_version": 100, **options})[1]
    return None if row is None else row.attribute_columns


def scan(client: OTSClient, table="t", start=INF_MIN, end=INF_MAX, direction=Direction.FORWARD, **options):
    """All rows between two values of the key column, following every continuation; their keys' values."""
    following, token, rows, answers = key(start), None, [], 0
    while following:
        _, following, page, token = client.get_range(
            table, direction, following, key(end), token=token or None, **{"max_version": 1, **options}
        )
        rows += page
        answers += 1
        if "limit" in options:
            break
    return [row.primary_key[0][1] for row in rows]


# ---- tables


def test_describe_tells_what_create_asked_for(client):
    make_table(
        client,
        "t",
        [("a", "STRING"), ("b", "INTEGER"), ("c", "BINARY"), ("d", "INTEGER", PK_AUTO_INCR)],
        [("x", "INTEGER"), ("y", "DOUBLE"), ("z", "BINARY"), ("s", "STRING"), ("o", "BOOLEAN")],
        time_to_live=10 * DAY,
        max_version=3,
        max_time_deviation=777,
        allow_update=False,
    )

    told = client.describe_table("t")

    assert told.table_meta.schema_of_primary_key == [
        ("a", "STRING"),
        ("b", "INTEGER"),
        ("c", "BINARY"),
        ("d", "INTEGER", PK_AUTO_INCR),
    ]
    assert told.table_meta.defined_columns == [
        ("x", "INTEGER"),
        ("y", "DOUBLE"),
        ("z", "BINARY"),
        ("s", "STRING"),
        ("o", "BOOLEAN"),
    ]
    options = told.table_options
    assert (options.time_to_live, options.max_version, options.max_time_deviation) == (10 * DAY, 3, 777)
    assert options.allow_update is False
    assert told.reserved_throughput_details.capacity_unit.read == 0


def test_default_options_are_described(client):
    make_table(client)

    options = client.describe_table("t").table_options

    assert (options.time_to_live, options.max_version, options.max_time_deviation, options.allow_update) == (
        -1,
        1,
        DAY,
        True,
    )


def test_update_changes_what_it_names(client):
    make_table(client)

    client.update_table("t", TableOptions(time_to_live=-1, max_version=5, max_time_deviation=99))
    answer = client.update_table("t", reserved_throughput=ReservedThroughput(CapacityUnit(2, 3)))

    told = client.describe_table("t")
    assert (told.table_options.max_version, told.table_options.max_time_deviation) == (5, 99)
    assert answer.reserved_throughput_details.capacity_unit.write == 3
    assert told.reserved_throughput_details.capacity_unit.read == 2


def test_tables_of_an_instance_are_listed_and_deleted(server):
    one, other = connect(server), connect(server)
    for name in ("b", "_a", "C"):
        make_table(one, name)
    make_table(other, "b")
    put(one, "x", ("c", 1), table="b")

    one.delete_table("b")

    assert one.list_table() == ("C", "_a")
    assert other.list_table() == ("b",)
    make_table(one, "b")
    assert columns_of(one, "x", table="b") is None


# ---- values


VALUES = [
    ("", "empty string"),
    ("text with é, 中 and 😀", "text"),
    ("a\x00b\nc", "control characters"),
    (bytearray(b""), "empty binary"),
    (bytearray(range(256)), "binary"),
    (2**63 - 1, "largest integer"),
    (-(2**63), "least integer"),
    (0, "zero"),
    (True, "true"),
    (False, "false"),
    (1.5, "double"),
    (-0.0, "negative zero"),
    (5e-324, "least double"),
]


@pytest.mark.parametrize(("value", "name"), VALUES, ids=[name for _, name in VALUES])
def test_every_value_comes_back(client, value, name):
    make_table(client)

    put(client, "k", ("c", value))

    [(_, found)] = columns_of(client, "k")
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "Infinity")])
def test_a_double_that_is_no_number_is_refused(client, value, word):
    make_table(client)

    with pytest.raises(OTSServiceError, match=f"{word} can't be set to double value") as raised:
        put(client, "k", ("c", value))

    assert raised.value.get_error_code() == "OTSParameterInvalid"


KEYS = ["", "a", "a\x00", "a\x00b", "ab", "b", "é", "中", "😀", "z" * 1024]


def test_string_keys_sort_by_their_bytes(client):
    make_table(client)
    for index, pk in enumerate(reversed(KEYS)):
        put(client, pk, ("c", index))

    forward = scan(client)

    assert forward == sorted(KEYS, key=lambda text: text.encode())
    assert scan(client, start=INF_MAX, end=INF_MIN, direction=Direction.BACKWARD) == forward[::-1]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("INTEGER", [-(2**63), -1, 0, 1, 255, 256, 2**63 - 1]),
        (
            "BINARY",
            [bytearray(v) for v in (b"", b"\0", b"\0\0", b"\0\1", b"\0\xff", b"\1", b"a", b"\xff", b"\xff\xff")],
        ),
    ],
)
def test_other_keys_sort_by_their_values(client, kind, values):
    make_table(client, keys=[("pk", kind)])
    for index, pk in enumerate(reversed(values)):
        put(client, pk, ("c", index))

    assert scan(client) == values


def test_a_key_of_four_columns_sorts_column_by_column(client):
    names = ("p1", "p2", "p3", "p4")
    make_table(client, keys=[("p1", "STRING"), ("p2", "INTEGER"), ("p3", "BINARY"), ("p4", "STRING")])
    keys = [
        list(zip(names, parts, strict=True))
        for parts in itertools.product(("", "a"), (-1, 1), (bytearray(b""), bytearray(b"\0")), ("x", "y"))
    ]
    for pk in reversed(keys):
        put(client, pk, ("c", 1))
    low = [("p1", "a"), ("p2", INF_MIN), ("p3", INF_MIN), ("p4", INF_MIN)]
    high = [("p1", "a"), ("p2", INF_MAX), ("p3", INF_MIN), ("p4", INF_MIN)]

    _, following, rows, _ = client.get_range("t", Direction.FORWARD, low, high, max_version=1)

    assert following is None
    assert [row.primary_key for row in rows] == keys[8:]


# ---- writes


def test_put_replaces_the_whole_row(client):
    make_table(client)
    put(client, "k", ("a", 1), ("b", 2))

    put(client, "k", ("c", 3))

    assert columns_of(client, "k") == [("c", 3)]


def test_a_row_may_have_no_columns(client):
    make_table(client)

    put(client, "k")

    assert columns_of(client, "k") == []
    assert scan(client) == ["k"]


def test_columns_are_answered_in_the_order_of_their_names(client):
    make_table(client)

    put(client, "k", ("b", 1), ("a", 2), ("B", 3), ("_", 4))

    assert [name for name, _ in columns_of(client, "k")] == ["B", "_", "a", "b"]


def test_update_makes_and_changes_rows(client):
    make_table(client)
    update(client, "k", {"PUT": [("a", 1), ("b", 2)]})

    update(client, "k", {"PUT": [("b", 20), ("c", 30)], "DELETE_ALL": ["a"]})

    assert columns_of(client, "k") == [("b", 20), ("c", 30)]


def test_deleting_every_column_leaves_the_row(client):
    make_table(client)
    put(client, "k", ("a", 1))

    update(client, "k", {"DELETE_ALL": ["a"]})

    assert columns_of(client, "k") == []


@pytest.mark.parametrize("change", [{"DELETE_ALL": ["a"]}, {"DELETE": [("a", None, 1)]}], ids=["all", "one"])
def test_only_deleting_columns_makes_no_row(client, change):
    make_table(client)

    update(client, "never there", change)

    assert columns_of(client, "never there") is None


def test_deleting_and_putting_columns_makes_a_row(client):
    make_table(client)

    update(client, "k", {"PUT": [("b", 1)], "DELETE_ALL": ["a"]})

    assert columns_of(client, "k") == [("b", 1)]


def test_delete_removes_the_row(client):
    make_table(client)
    put(client, "k", ("a", 1))

    client.delete_row("t", Row(key("k")), ALWAYS)
    client.delete_row("t", Row(key("never there")), ALWAYS)

    assert columns_of(client, "k") is None


def test_increments_add_up(client):
    make_table(client)

    update(client, "k", {"INCREMENT": [("n", 5)]})
    update(client, "k", {"INCREMENT": [("n", -7)], "PUT": [("m", "x")]})

    assert columns_of(client, "k") == [("m", "x"), ("n", -2)]


def test_generated_keys_grow_and_come_back(client):
    make_table(client, keys=[("pk", "STRING"), ("id", "INTEGER", PK_AUTO_INCR)])

    made = []
    for value in range(3):
        row = Row([("pk", "a"), ("id", PK_AUTO_INCR)], [("c", value)])
        made.append(client.put_row("t", row, ALWAYS, return_type=ReturnType.RT_PK)[1].primary_key)

    ids = [pk[1][1] for pk in made]
    assert ids == sorted(set(ids))
    assert columns_of(client, made[1]) == [("c", 1)]
    update(client, made[1], {"PUT": [("c", "new")]}, condition=Condition(RowExistenceExpectation.EXPECT_EXIST))
    assert columns_of(client, made[1]) == [("c", "new")]


def test_writes_return_the_key_when_asked(client):
    make_table(client)

    _, row = client.put_row("t", Row(key("k"), [("c", 1)]), ALWAYS, return_type=ReturnType.RT_PK)

    assert row.primary_key == key("k")
    assert row.attribute_columns == []


def test_capacity_counts_four_kilobytes_a_unit(client):
    make_table(client)

    written, _ = put(client, "k", ("c", "x" * 9000))
    read, _, _ = client.get_row("t", key("k"))

    assert (written.read, written.write) == (0, 3)
    assert (read.read, read.write) == (3, 0)


# ---- conditions

FAILED_CONDITION = ("OTSConditionCheckFail", 403, "Condition check failed.")
HAS_ONE = SingleColumnCondition("n", 1, ComparatorType.EQUAL)


@pytest.mark.parametrize(
    ("condition", "on_row", "on_nothing"),
    [
        (Condition(RowExistenceExpectation.IGNORE), True, True),
        (Condition(RowExistenceExpectation.EXPECT_EXIST), True, False),
        (Condition(RowExistenceExpectation.EXPECT_NOT_EXIST), False, True),
        (Condition(RowExistenceExpectation.IGNORE, HAS_ONE), True, True),
        (Condition(RowExistenceExpectation.EXPECT_EXIST, HAS_ONE), True, False),
        (
            Condition(RowExistenceExpectation.IGNORE, SingleColumnCondition("n", 2, ComparatorType.EQUAL)),
            False,
            True,
        ),
        (
            Condition(
                RowExistenceExpectation.IGNORE,
                SingleColumnCondition("n", 1, ComparatorType.EQUAL, pass_if_missing=False),
            ),
            True,
            False,
        ),
    ],
)
def test_writes_happen_when_their_condition_holds(client, condition, on_row, on_nothing):
    make_table(client)
    put(client, "row", ("n", 1))

    def happens(write):
        try:
            write()
        except OTSServiceError as error:
            if (error.code, error.http_status, error.message) != FAILED_CONDITION:
                raise
            return False
        return True

    for write in (
        lambda pk: update(client, pk, {"PUT": [("m", 1)]}, condition=condition),
        lambda pk: put(client, pk, ("n", 1), condition=condition),
        lambda pk: client.delete_row("t", Row(key(pk)), condition),
    ):
        assert happens(lambda write=write: write("nothing")) is on_nothing
        client.delete_row("t", Row(key("nothing")), ALWAYS)
        assert happens(lambda write=write: write("row")) is on_row


# ---- versions


def test_a_table_keeps_its_number_of_versions(client, clock):
    make_table(client, max_version=2)
    now = clock.millis()

    for age in (3, 1, 2):
        update(client, "k", {"PUT": [("c", f"v{age}", now - age)]})

    assert versions_of(client, "k") == [("c", "v1", now - 1), ("c", "v2", now - 2)]
    assert versions_of(client, "k", max_version=1) == [("c", "v1", now - 1)]


def test_one_version_or_all_of_them_are_deleted(client, clock):
    make_table(client, max_version=5)
    now = clock.millis()
    put(client, "k", *[("c", n, now - n) for n in range(4)], ("d", 1, now))

    update(client, "k", {"DELETE": [("c", None, now - 1)]})
    assert [value for name, value, _ in versions_of(client, "k") if name == "c"] == [0, 2, 3]

    update(client, "k", {"DELETE_ALL": ["c"]})
    assert versions_of(client, "k") == [("d", 1, now)]


def test_the_same_version_is_overwritten(client, clock):
    make_table(client, max_version=5)
    now = clock.millis()
    put(client, "k", ("c", "old", now))

    update(client, "k", {"PUT": [("c", "new", now)]})

    assert versions_of(client, "k") == [("c", "new", now)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ((0, 2), [1, 0]),
        ((1, 3), [2, 1]),
        (2, [2]),
        ((7, 9), None),
    ],
)
def test_a_time_range_selects_versions(client, clock, wanted, found):
    make_table(client, max_version=5)
    base = clock.millis()
    put(client, "k", *[("c", n, base + n) for n in range(4)])
    time_range = tuple(base + n for n in wanted) if isinstance(wanted, tuple) else base + wanted

    read = columns_of(client, "k", max_version=10 if isinstance(wanted, tuple) else None, time_range=time_range)

    assert (read and [value for _, value in read]) == found


def test_cells_die_with_their_time_to_live(client, clock):
    make_table(client, time_to_live=DAY, max_version=2)
    now = clock.millis()
    put(client, "old", ("a", 1, now - (DAY - 60) * 1000))
    put(client, "both", ("a", 1, now - (DAY - 60) * 1000), ("b", 2))

    clock.advance(120)
    try:
        assert columns_of(client, "old") is None
        assert columns_of(client, "both") == [("b", 2)]
        assert scan(client) == ["both"]
        put(client, "old", ("c", 3), condition=Condition(RowExistenceExpectation.EXPECT_NOT_EXIST))
        assert columns_of(client, "old") == [("c", 3)]
    finally:
        clock.reset()


# ---- batches


def test_a_batch_writes_to_many_tables_and_answers_row_by_row(client):
    for name in ("t", "u"):
        make_table(client, name)
    put(client, "gone", ("c", 1))
    put(client, "there", ("c", 1))
    request = BatchWriteRowRequest()
    request.add(
        TableInBatchWriteRowItem(
            "t",
            [
                PutRowItem(Row(key("new"), [("c", 1)]), ALWAYS),
                PutRowItem(Row(key("there"), [("c", 2)]), Condition(RowExistenceExpectation.EXPECT_NOT_EXIST)),
                UpdateRowItem(Row(key("upd"), {"PUT": [("d", 2)]}), ALWAYS),
                DeleteRowItem(Row(key("gone")), ALWAYS),
                PutRowItem(Row([("wrong", "x")], [("c", 1)]), ALWAYS),
            ],
        )
    )
    request.add(TableInBatchWriteRowItem("u", [PutRowItem(Row(key("k"), [("c", 9)]), ALWAYS)]))
    request.add(TableInBatchWriteRowItem("absent", [PutRowItem(Row(key("k"), [("c", 9)]), ALWAYS)]))

    answer = client.batch_write_row(request)

    results = {name: [(row.is_ok, row.error_code) for row in rows] for name, rows in answer.table_of_put.items()}
    assert results == {
        "t": [(True, None), (False, "OTSConditionCheckFail"), (False, "OTSInvalidPK")],
        "u": [(True, None)],
        "absent": [(False, "OTSObjectNotExist")],
    }
    assert scan(client) == ["new", "there", "upd"]
    assert columns_of(client, "there") == [("c", 1)]
    assert columns_of(client, "k", table="u") == [("c", 9)]


def test_a_batch_may_change_a_row_twice(client):
    make_table(client)
    request = BatchWriteRowRequest()
    request.add(
        TableInBatchWriteRowItem(
            "t",
            [
                PutRowItem(Row(key("k"), [("a", 1), ("b", 1)]), ALWAYS),
                UpdateRowItem(Row(key("k"), {"PUT": [("a", 2)]}), ALWAYS),
                UpdateRowItem(Row(key("k"), {"DELETE_ALL": ["b"]}), ALWAYS),
            ],
        )
    )

    assert client.batch_write_row(request).is_all_succeed()

    assert columns_of(client, "k") == [("a", 2)]


def test_a_batch_reads_from_many_tables_and_answers_row_by_row(client):
    for name in ("t", "u"):
        make_table(client, name)
    put(client, "a", ("c", 1), ("d", 2))
    put(client, "b", ("c", 3), table="u")
    request = BatchGetRowRequest()
    request.add(TableInBatchGetRowItem("t", [key("a"), key("none"), [("x", "a")]], ["c"], None, 1))
    request.add(TableInBatchGetRowItem("u", [key("b"), key("b")], [], None, 1))
    request.add(TableInBatchGetRowItem("absent", [key("b")], [], None, 1))

    answer = client.batch_get_row(request)

    first, missing, wrong = answer.get_result_by_table("t")
    assert [(name, value) for name, value, _ in first.row.attribute_columns] == [("c", 1)]
    assert missing.is_ok
    assert missing.row is None
    assert (wrong.is_ok, wrong.error_code, wrong.error_message) == (
        False,
        "OTSInvalidPK",
        "Validate PK name fail. Input: x, Meta: pk.",
    )
    assert [row.row.primary_key for row in answer.get_result_by_table("u")] == [key("b")] * 2
    assert answer.get_result_by_table("absent")[0].error_code == "OTSObjectNotExist"


# ---- ranges


@pytest.fixture
def numbered(client) -> OTSClient:
    """Rows 0 to 9, each with `n`; even ones with `even`; all with `s`."""
    make_table(client, keys=[("pk", "INTEGER")])
    for n in range(10):
        put(client, n, ("n", n), ("s", f"name-{n}"), *([("even", True)] if n % 2 == 0 else []))
    return client


@pytest.mark.parametrize(
    ("start", "end", "direction", "found"),
    [
        (INF_MIN, INF_MAX, Direction.FORWARD, list(range(10))),
        (3, 6, Direction.FORWARD, [3, 4, 5]),
        (INF_MIN, 3, Direction.FORWARD, [0, 1, 2]),
        (8, INF_MAX, Direction.FORWARD, [8, 9]),
        (20, INF_MAX, Direction.FORWARD, []),
        (INF_MAX, INF_MIN, Direction.BACKWARD, list(range(9, -1, -1))),
        (6, 3, Direction.BACKWARD, [6, 5, 4]),
        (INF_MAX, 8, Direction.BACKWARD, [9]),
        (1, INF_MIN, Direction.BACKWARD, [1, 0]),
    ],
)
def test_a_range_begins_with_its_start_and_ends_before_its_end(numbered, start, end, direction, found):
    assert scan(numbered, start=start, end=end, direction=direction) == found


@pytest.mark.parametrize("direction", [Direction.FORWARD, Direction.BACKWARD])
def test_a_limit_says_where_to_go_on(numbered, direction):
    start, end = (INF_MIN, INF_MAX) if direction == Direction.FORWARD else (INF_MAX, INF_MIN)
    found, following = [], key(start)
    pages = 0

    while following:
        _, following, rows, _ = numbered.get_range("t", direction, following, key(end), limit=4, max_version=1)
        found += [row.primary_key[0][1] for row in rows]
        pages += 1

    assert pages == 3
    assert found == (list(range(10)) if direction == Direction.FORWARD else list(range(9, -1, -1)))


@pytest.mark.parametrize(
    ("columns", "found", "first"),
    [
        ([], list(range(10)), ["even", "n", "s"]),
        (["n"], list(range(10)), ["n"]),
        (["even"], [0, 2, 4, 6, 8], ["even"]),
        (["even", "pk"], list(range(10)), ["even"]),
        (["nowhere"], [], None),
        (["nowhere", "pk"], list(range(10)), []),
        (["s", "even", "even"], list(range(10)), ["even", "s"]),
    ],
)
def test_rows_with_none_of_the_named_columns_are_left_out(numbered, columns, found, first):
    _, _, rows, _ = numbered.get_range("t", Direction.FORWARD, key(INF_MIN), key(INF_MAX), columns, max_version=1)

    assert [row.primary_key[0][1] for row in rows] == found
    if rows:
        assert [name for name, _, _ in rows[0].attribute_columns] == first


def test_a_span_of_columns_is_read(numbered):
    row = numbered.get_row("t", key(0), start_column="f", end_column="s")[1]

    assert [name for name, _, _ in row.attribute_columns] == ["n"]


def nested(combinator, *parts):
    composite = CompositeColumnCondition(combinator)
    for part in parts:
        composite.add_sub_condition(part)
    return composite


def n_is(comparator, value):
    return SingleColumnCondition("n", value, comparator)


EVEN = SingleColumnCondition("even", True, ComparatorType.EQUAL, pass_if_missing=False)


@pytest.mark.parametrize(
    ("column_filter", "found"),
    [
        (n_is(ComparatorType.EQUAL, 4), [4]),
        (n_is(ComparatorType.NOT_EQUAL, 4), [0, 1, 2, 3, 5, 6, 7, 8, 9]),
        (n_is(ComparatorType.GREATER_THAN, 7), [8, 9]),
        (n_is(ComparatorType.GREATER_EQUAL, 7), [7, 8, 9]),
        (n_is(ComparatorType.LESS_THAN, 2), [0, 1]),
        (n_is(ComparatorType.LESS_EQUAL, 2), [0, 1, 2]),
        (n_is(ComparatorType.EQUAL, "4"), []),
        (EVEN, [0, 2, 4, 6, 8]),
        (SingleColumnCondition("even", False, ComparatorType.EQUAL), [1, 3, 5, 7, 9]),
        (nested(LogicalOperator.AND, EVEN, n_is(ComparatorType.LESS_THAN, 5)), [0, 2, 4]),
        (nested(LogicalOperator.OR, n_is(ComparatorType.EQUAL, 1), n_is(ComparatorType.EQUAL, 9)), [1, 9]),
        (nested(LogicalOperator.NOT, EVEN), [1, 3, 5, 7, 9]),
        (
            nested(
                LogicalOperator.AND,
                nested(LogicalOperator.NOT, EVEN),
                nested(LogicalOperator.OR, n_is(ComparatorType.GREATER_THAN, 6), n_is(ComparatorType.EQUAL, 1)),
            ),
            [1, 7, 9],
        ),
        (
            SingleColumnRegexCondition(
                "s", ComparatorType.GREATER_THAN, 6, RegexRule("name-([0-9])", CastType.VT_INTEGER)
            ),
            [7, 8, 9],
        ),
    ],
)
def test_a_filter_keeps_the_rows_that_pass(numbered, column_filter, found):
    assert scan(numbered, column_filter=column_filter) == found


def test_a_filter_sees_only_the_columns_that_are_read(numbered):
    condition = SingleColumnCondition("n", 4, ComparatorType.EQUAL, pass_if_missing=False)

    assert scan(numbered, column_filter=condition, columns_to_get=["s"]) == []
    assert scan(numbered, column_filter=condition, columns_to_get=["s", "n"]) == [4]


def test_a_single_read_is_filtered_too(numbered):
    assert columns_of(numbered, 3, column_filter=EVEN) is None
    assert columns_of(numbered, 4, column_filter=EVEN, columns_to_get=["n", "even"]) == [("even", True), ("n", 4)]


@pytest.mark.slow
@pytest.mark.parametrize("direction", [Direction.FORWARD, Direction.BACKWARD])
def test_an_answer_holds_five_thousand_rows(server, direction):
    client = connect(server)
    make_table(client, keys=[("pk", "INTEGER")])
    for base in range(0, 5200, 200):
        request = BatchWriteRowRequest()
        items = [PutRowItem(Row(key(base + n), []), ALWAYS) for n in range(200)]
        request.add(TableInBatchWriteRowItem("t", items))
        assert client.batch_write_row(request).is_all_succeed()
    start, end = (INF_MIN, INF_MAX) if direction == Direction.FORWARD else (INF_MAX, INF_MIN)

    _, following, rows, _ = client.get_range("t", direction, key(start), key(end), max_version=1)

    assert len(rows) == 5000
    assert following == key(5000 if direction == Direction.FORWARD else 199)
    assert len(scan(client, start=start, end=end, direction=direction)) == 5200


@pytest.mark.slow
def test_an_answer_holds_four_megabytes(client):
    make_table(client, keys=[("pk", "INTEGER")])
    for n in range(6):
        put(client, n, ("c", bytearray(1024 * 1024)))

    _, following, rows, _ = client.get_range("t", Direction.FORWARD, key(INF_MIN), key(INF_MAX), max_version=1)

    assert [row.primary_key[0][1] for row in rows] == [0, 1, 2]
    assert following == key(3)
    assert scan(client) == list(range(6))


@pytest.mark.parametrize("columns", [[], [f"c{n:02d}" for n in range(12)]], ids=["whole", "named"])
def test_a_row_wider_than_an_answer_is_read_in_parts(columns):
    with Serving(TablestoreApp(None, demo_accounts(), Clock(), limits=Limits(range_bytes=1000))) as server:
        client = connect(server)
        make_table(client, keys=[("pk", "INTEGER")])
        put(client, 1, ("c00", 1))
        put(client, 2, *[(f"c{n:02d}", "x" * 300) for n in range(12)])
        put(client, 3, ("c00", 3))
        following, token, parts = key(INF_MIN), None, []

        while following:
            _, following, rows, token = client.get_range(
                "t", Direction.FORWARD, following, key(INF_MAX), columns, max_version=1, token=token or None
            )
            parts += [(row.primary_key[0][1], [name for name, _, _ in row.attribute_columns]) for row in rows]
            assert not token or following == key(2)
        token, cells = None, []
        while token is None or token:
            _, row, token = client.get_row("t", key(2), columns, token=token)
            cells += [name for name, _, _ in row.attribute_columns]

    names = [f"c{n:02d}" for n in range(12)]
    assert [pk for pk, _ in parts] == [1, 2, 2, 2, 2, 2, 2, 3] or len(parts) > 4
    assert [name for pk, found in parts if pk == 2 for name in found] == names
    assert cells == names


# ---- who asks


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"enable_native": False},
        {"region": "cn-hangzhou"},
        {"region": "cn-hangzhou", "enable_native": False},
        {"sts_token": "some-token"},
        {"region": "us-west-1", "sts_token": "some-token"},
    ],
    ids=lambda options: ",".join(options) or "v2",
)
def test_every_signature_and_codec_is_understood(server, options):
    client = connect(server, **options)

    make_table(client)
    put(client, "k", ("c", "value"))
    update(client, "k", {"PUT": [("d", 2.5)]})

    assert columns_of(client, "k") == [("c", "value"), ("d", 2.5)]
    assert scan(client) == ["k"]


def test_index_calls_are_answered_as_for_a_table_without_indexes(client):
    make_table(client)

    assert client.list_search_index("t") == []
