"""The official Python SDK for Tablestore, with the signature and the codec that it is told to use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tablestore as ots
from case import Cases, asked, equal

IGNORE = ots.Condition(ots.RowExistenceExpectation.IGNORE)
EXISTS = ots.Condition(ots.RowExistenceExpectation.EXPECT_EXIST)
ABSENT = ots.Condition(ots.RowExistenceExpectation.EXPECT_NOT_EXIST)
FORWARD, BACKWARD = ots.Direction.FORWARD, ots.Direction.BACKWARD
DAY = 86400
CONDITION_FAILED = (403, "OTSConditionCheckFail", "Condition check failed.")
NO_TABLE = (404, "OTSObjectNotExist", "Requested table does not exist.")

cases = Cases()
case = cases.case


@dataclass(frozen=True)
class Table:
    """A client and a table name of the case's own; verbs for what most cases do."""

    client: Any
    name: str

    def make(self, *keys: tuple[Any, ...], defined: Any = (), **options: Any) -> None:
        meta = ots.TableMeta(self.name, list(keys) or [("pk", "STRING")], list(defined))
        self.client.create_table(meta, ots.TableOptions(**options), ots.ReservedThroughput(ots.CapacityUnit(0, 0)))

    def put(self, pk: Any, *columns: Any, condition: Any = IGNORE, **options: Any) -> Any:
        return self.client.put_row(self.name, ots.Row(key(pk), list(columns)), condition, **options)

    def update(self, pk: Any, changes: Any, condition: Any = IGNORE, **options: Any) -> Any:
        return self.client.update_row(self.name, ots.Row(key(pk), changes), condition, **options)

    def delete(self, pk: Any, condition: Any = IGNORE) -> Any:
        return self.client.delete_row(self.name, ots.Row(key(pk)), condition)

    def cells(self, pk: Any, **options: Any) -> Any:
        """The row's (name, value, version), or None without a row."""
        row = self.client.get_row(self.name, key(pk), **{"max_version": 1, **options})[1]
        return None if row is None else row.attribute_columns

    def columns(self, pk: Any, **options: Any) -> Any:
        cells = self.cells(pk, **options)
        return None if cells is None else [(name, value) for name, value, _ in cells]

    def range(self, start: Any, end: Any, direction: Any = FORWARD, **options: Any) -> tuple[Any, list[Any]]:
        """Where to go on and the keys of one answer."""
        _, following, rows, _ = self.client.get_range(
            self.name, direction, key(start), key(end), **{"max_version": 1, **options}
        )
        return following, [row.primary_key[0][1] for row in rows]

    def write(self, *items: Any) -> Any:
        request = ots.BatchWriteRowRequest()
        request.add(ots.TableInBatchWriteRowItem(self.name, list(items)))
        return self.client.batch_write_row(request)

    def numbered(self) -> None:
        """Rows 0 to 9 with `n`, even ones with `even`."""
        self.make(("pk", "INTEGER"))
        rows = [ots.Row(key(n), [("n", n), *([("even", True)] if n % 2 == 0 else [])]) for n in range(10)]
        equal(self.write(*[ots.PutRowItem(row, IGNORE) for row in rows]).is_all_succeed(), True)


def key(pk: Any) -> Any:
    return pk if isinstance(pk, list) else [("pk", pk)]


def refused(action: Callable[[], object]) -> tuple[int, str, str]:
    try:
        action()
    except ots.OTSServiceError as error:
        return error.http_status, error.code, error.message
    raise AssertionError("it was not refused")


def n_is(comparator: Any, value: Any) -> Any:
    return ots.SingleColumnCondition("n", value, comparator)


def composite(operator: Any, *parts: Any) -> Any:
    condition = ots.CompositeColumnCondition(operator)
    for part in parts:
        condition.add_sub_condition(part)
    return condition


@case("CreateTable", "keys, options and defined columns are kept")
def _(t: Table) -> None:
    keys = [("a", "STRING"), ("b", "INTEGER"), ("c", "BINARY"), ("d", "INTEGER", ots.PK_AUTO_INCR)]
    t.make(*keys, defined=[("x", "DOUBLE"), ("y", "BOOLEAN")], time_to_live=10 * DAY, max_version=3)
    told = t.client.describe_table(t.name)
    equal(told.table_meta.schema_of_primary_key, keys)
    equal(told.table_meta.defined_columns, [("x", "DOUBLE"), ("y", "BOOLEAN")])
    equal((told.table_options.time_to_live, told.table_options.max_version), (10 * DAY, 3))


@case("CreateTable", "a table is not made twice")
def _(t: Table) -> None:
    t.make()
    equal(refused(t.make), (409, "OTSObjectAlreadyExist", "Requested table already exists."))


@case("CreateTable", "a key column is not named twice")
def _(t: Table) -> None:
    found = refused(lambda: t.make(("PK0", "STRING"), ("PK0", "INTEGER")))
    equal(found, (400, "OTSParameterInvalid", "Duplicated primary key name: 'PK0'."))


@case("DescribeTable", "a table that is not there is refused")
def _(t: Table) -> None:
    equal(refused(lambda: t.client.describe_table(t.name)), NO_TABLE)


@case("UpdateTable", "options change")
def _(t: Table) -> None:
    t.make()
    t.client.update_table(t.name, ots.TableOptions(time_to_live=2 * DAY, max_version=5))
    told = t.client.describe_table(t.name).table_options
    equal((told.time_to_live, told.max_version), (2 * DAY, 5))


@case("ListTable", "a table is listed")
def _(t: Table) -> None:
    t.make()
    equal(t.name in t.client.list_table(), True)


@case("DeleteTable", "a deleted table is gone")
def _(t: Table) -> None:
    t.make()
    t.client.delete_table(t.name)
    equal(refused(lambda: t.client.describe_table(t.name)), NO_TABLE)


@case("PutRow", "every type of value comes back")
def _(t: Table) -> None:
    t.make()
    values = [
        ("binary", bytearray(range(256))),
        ("double", -1.5e300),
        ("empty", ""),
        ("empty_binary", bytearray(b"")),
        ("false", False),
        ("largest", 2**63 - 1),
        ("least", -(2**63)),
        ("text", "é 中 😀"),
        ("true", True),
    ]
    t.put("k", *values)
    equal(t.columns("k"), values)


@case("PutRow", "every type of key comes back")
def _(t: Table) -> None:
    t.make(("a", "STRING"), ("b", "INTEGER"), ("c", "BINARY"))
    pk = [("a", "中"), ("b", -(2**63)), ("c", bytearray(b"\0\xff"))]
    t.put(pk, ("n", 1))
    equal(t.client.get_row(t.name, pk, max_version=1)[1].primary_key, pk)


@case("PutRow", "a row is replaced whole")
def _(t: Table) -> None:
    t.make()
    t.put("k", ("a", 1), ("b", 2))
    t.put("k", ("c", 3))
    equal(t.columns("k"), [("c", 3)])


@case("PutRow", "the existence of the row is a condition")
def _(t: Table) -> None:
    t.make()
    t.put("k", ("a", 1), condition=ABSENT)
    equal(refused(lambda: t.put("k", condition=ABSENT)), CONDITION_FAILED)
    equal(refused(lambda: t.put("other", condition=EXISTS)), CONDITION_FAILED)
    t.put("k", ("a", 2), condition=EXISTS)
    equal(t.columns("k"), [("a", 2)])


@case("PutRow", "a generated key is returned")
def _(t: Table) -> None:
    t.make(("pk", "STRING"), ("id", "INTEGER", ots.PK_AUTO_INCR))
    new = [("pk", "a"), ("id", ots.PK_AUTO_INCR)]
    made = [t.put(new, ("n", n), return_type=ots.ReturnType.RT_PK)[1].primary_key for n in range(2)]
    equal(made[0][1][1] < made[1][1][1], True)
    equal(t.columns(made[1]), [("n", 1)])


@case("PutRow", "a key of another name is refused")
def _(t: Table) -> None:
    t.make()
    found = refused(lambda: t.put([("PK2", "k")], ("n", 1)))
    equal(found, (400, "OTSInvalidPK", "Validate PK name fail. Input: PK2, Meta: pk."))


@case("PutRow", "a key of another size is refused")
def _(t: Table) -> None:
    t.make()
    found = refused(lambda: t.put([("pk", "k"), ("x", 1)], ("n", 1)))
    equal(found, (400, "OTSInvalidPK", "Validate PK size fail. Input: 2, Meta: 1."))


@case("PutRow", "a table that is not there is refused")
def _(t: Table) -> None:
    equal(refused(lambda: t.put("k", ("n", 1))), NO_TABLE)


@case("GetRow", "there is no row")
def _(t: Table) -> None:
    t.make()
    equal(t.columns("k"), None)


@case("GetRow", "named columns are read")
def _(t: Table) -> None:
    t.make()
    t.put("k", ("a", 1), ("b", 2), ("c", 3))
    equal(t.columns("k", columns_to_get=["c", "a"]), [("a", 1), ("c", 3)])


@case("GetRow", "a span of columns is read")
def _(t: Table) -> None:
    t.make()
    t.put("k", ("a", 1), ("b", 2), ("c", 3))
    equal(t.columns("k", start_column="b", end_column="c"), [("b", 2)])


@case("GetRow", "as many versions as asked for")
def _(t: Table) -> None:
    t.make(max_version=3)
    now = int(time.time() * 1000)
    t.put("k", *[("c", n, now - n) for n in range(4)])
    equal(t.cells("k", max_version=10), [("c", n, now - n) for n in range(3)])
    equal(t.cells("k", max_version=1), [("c", 0, now)])


@case("GetRow", "a time range selects versions")
def _(t: Table) -> None:
    t.make(max_version=5)
    now = int(time.time() * 1000)
    t.put("k", *[("c", n, now + n) for n in range(4)])
    equal(t.cells("k", max_version=10, time_range=(now + 1, now + 3)), [("c", n, now + n) for n in (2, 1)])
    equal(t.cells("k", max_version=None, time_range=now + 3), [("c", 3, now + 3)])


@case("GetRow", "a filter hides the row")
def _(t: Table) -> None:
    t.make()
    t.put("k", ("n", 4))
    equal(t.columns("k", column_filter=n_is(ots.ComparatorType.EQUAL, 4)), [("n", 4)])
    equal(t.columns("k", column_filter=n_is(ots.ComparatorType.GREATER_THAN, 4)), None)


@case("UpdateRow", "columns are put and deleted")
def _(t: Table) -> None:
    t.make()
    t.update("k", {"PUT": [("a", 1), ("b", 2)]})
    t.update("k", {"PUT": [("b", 20), ("c", 30)], "DELETE_ALL": ["a"]})
    equal(t.columns("k"), [("b", 20), ("c", 30)])


@case("UpdateRow", "one version is deleted")
def _(t: Table) -> None:
    t.make(max_version=5)
    now = int(time.time() * 1000)
    t.put("k", *[("c", n, now + n) for n in range(3)])
    t.update("k", {"DELETE": [("c", None, now + 1)]})
    equal([value for _, value, _ in t.cells("k", max_version=10)], [2, 0])


@case("UpdateRow", "all versions of a column are deleted")
def _(t: Table) -> None:
    t.make(max_version=5)
    now = int(time.time() * 1000)
    t.put("k", ("d", 1), *[("c", n, now + n) for n in range(3)])
    t.update("k", {"DELETE_ALL": ["c"]})
    equal(t.columns("k", max_version=10), [("d", 1)])


@case("UpdateRow", "increments add up")
def _(t: Table) -> None:
    t.make()
    t.update("k", {"INCREMENT": [("n", 5)]})
    t.update("k", {"INCREMENT": [("n", -7)], "PUT": [("m", "x")]})
    equal(t.columns("k"), [("m", "x"), ("n", -2)])


@case("UpdateRow", "a column is a condition")
def _(t: Table) -> None:
    t.make()
    t.put("k", ("n", 1))
    is_one = ots.Condition(ots.RowExistenceExpectation.IGNORE, n_is(ots.ComparatorType.EQUAL, 1))
    t.update("k", {"PUT": [("n", 2)]}, is_one)
    equal(refused(lambda: t.update("k", {"PUT": [("n", 3)]}, is_one)), CONDITION_FAILED)
    equal(t.columns("k"), [("n", 2)])


@case("DeleteRow", "the row is gone")
def _(t: Table) -> None:
    t.make()
    t.put("k", ("n", 1))
    t.delete("k")
    equal(t.columns("k"), None)


@case("DeleteRow", "the existence of the row is a condition")
def _(t: Table) -> None:
    t.make()
    equal(refused(lambda: t.delete("k", EXISTS)), CONDITION_FAILED)


@case("BatchWriteRow", "each row has its own result")
def _(t: Table) -> None:
    t.make()
    t.put("there", ("n", 1))
    answer = t.write(
        ots.PutRowItem(ots.Row(key("new"), [("n", 1)]), IGNORE),
        ots.PutRowItem(ots.Row(key("there"), [("n", 2)]), ABSENT),
        ots.UpdateRowItem(ots.Row(key("changed"), {"PUT": [("n", 3)]}), IGNORE),
        ots.DeleteRowItem(ots.Row(key("gone")), IGNORE),
    )
    found = [
        [(row.is_ok, row.error_code, row.error_message) for row in rows[t.name]]
        for rows in (answer.table_of_put, answer.table_of_update, answer.table_of_delete)
    ]
    fine = (True, None, None)
    equal(found, [[fine, (False, *CONDITION_FAILED[1:])], [fine], [fine]])
    equal(t.range(ots.INF_MIN, ots.INF_MAX), (None, ["changed", "new", "there"]))


@case("BatchWriteRow", "a generated key is returned")
def _(t: Table) -> None:
    t.make(("pk", "STRING"), ("id", "INTEGER", ots.PK_AUTO_INCR))
    new = [("pk", "a"), ("id", ots.PK_AUTO_INCR)]
    answer = t.write(ots.PutRowItem(ots.Row(new, [("n", 1)]), IGNORE, ots.ReturnType.RT_PK))
    [made] = answer.table_of_put[t.name]
    equal(t.columns(made.row.primary_key), [("n", 1)])


@case("BatchWriteRow", "a batch of nothing is refused")
def _(t: Table) -> None:
    t.make()
    found = refused(lambda: t.client.batch_write_row(ots.BatchWriteRowRequest()))
    equal(found, (400, "OTSParameterInvalid", "No row is specified in BatchWriteRow."))
    found = refused(t.write)
    equal(found, (400, "OTSParameterInvalid", f"No operation is specified for table: '{t.name}'."))


@case("BatchWriteRow", "at most 200 rows")
def _(t: Table) -> None:
    t.make(("pk", "INTEGER"))
    items = [ots.PutRowItem(ots.Row(key(n), [("n", n)]), IGNORE) for n in range(201)]
    equal(t.write(*items[:200]).is_all_succeed(), True)
    equal(refused(lambda: t.write(*items)), (400, "OTSParameterInvalid", "Rows count exceeds the upper limit: 200."))


@case("BatchGetRow", "each row has its own result")
def _(t: Table) -> None:
    t.make()
    t.put("a", ("n", 1))
    request = ots.BatchGetRowRequest()
    request.add(ots.TableInBatchGetRowItem(t.name, [key("a"), key("none"), [("x", "a")]], [], None, 1))
    there, missing, wrong = t.client.batch_get_row(request).get_result_by_table(t.name)
    equal(([cell[:2] for cell in there.row.attribute_columns], missing.is_ok, missing.row), ([("n", 1)], True, None))
    text = "Validate PK name fail. Input: x, Meta: pk."
    equal((wrong.is_ok, wrong.error_code, wrong.error_message), (False, "OTSInvalidPK", text))


@case("BatchGetRow", "a batch of nothing is refused")
def _(t: Table) -> None:
    found = refused(lambda: t.client.batch_get_row(ots.BatchGetRowRequest()))
    equal(found, (400, "OTSParameterInvalid", "No row specified in the request of BatchGetRow."))


@case("GetRange", "forward, from the start to before the end")
def _(t: Table) -> None:
    t.numbered()
    equal(t.range(ots.INF_MIN, ots.INF_MAX), (None, list(range(10))))
    equal(t.range(3, 6), (None, [3, 4, 5]))


@case("GetRange", "backward, from the start to before the end")
def _(t: Table) -> None:
    t.numbered()
    equal(t.range(ots.INF_MAX, ots.INF_MIN, BACKWARD), (None, list(range(9, -1, -1))))
    equal(t.range(6, 3, BACKWARD), (None, [6, 5, 4]))


@case("GetRange", "a limit says where to go on")
def _(t: Table) -> None:
    t.numbered()
    equal(t.range(ots.INF_MIN, ots.INF_MAX, limit=4), (key(4), [0, 1, 2, 3]))
    equal(t.range(ots.INF_MAX, ots.INF_MIN, BACKWARD, limit=4), (key(5), [9, 8, 7, 6]))


@case("GetRange", "keys of two columns are in order")
def _(t: Table) -> None:
    t.make(("a", "STRING"), ("b", "INTEGER"))
    keys = [[("a", a), ("b", b)] for a in ("", "a", "a\0", "中") for b in (-1, 0, 1)]
    t.write(*[ots.PutRowItem(ots.Row(pk, [("n", 1)]), IGNORE) for pk in reversed(keys)])
    low, high = [("a", ots.INF_MIN), ("b", ots.INF_MIN)], [("a", ots.INF_MAX), ("b", ots.INF_MAX)]
    _, following, rows, _ = t.client.get_range(t.name, FORWARD, low, high, max_version=1)
    equal((following, [row.primary_key for row in rows]), (None, keys))


@case("GetRange", "a filter keeps the rows that pass")
def _(t: Table) -> None:
    t.numbered()
    even = ots.SingleColumnCondition("even", True, ots.ComparatorType.EQUAL, pass_if_missing=False)
    both = composite(ots.LogicalOperator.AND, even, n_is(ots.ComparatorType.GREATER_EQUAL, 5))
    for column_filter, expected in (
        (n_is(ots.ComparatorType.LESS_THAN, 2), [0, 1]),
        (even, [0, 2, 4, 6, 8]),
        (both, [6, 8]),
        (composite(ots.LogicalOperator.NOT, even), [1, 3, 5, 7, 9]),
    ):
        equal(t.range(ots.INF_MIN, ots.INF_MAX, column_filter=column_filter), (None, expected))


@case("GetRange", "rows without the named columns are left out")
def _(t: Table) -> None:
    t.numbered()
    equal(t.range(ots.INF_MIN, ots.INF_MAX, columns_to_get=["even"]), (None, [0, 2, 4, 6, 8]))


@case("GetRange", "an answer holds at most 5000 rows")
def _(t: Table) -> None:
    t.make(("pk", "INTEGER"))
    for first in range(0, 5200, 200):
        t.write(*[ots.PutRowItem(ots.Row(key(first + n), []), IGNORE) for n in range(200)])
    following, keys = t.range(ots.INF_MIN, ots.INF_MAX)
    equal((following, len(keys)), (key(5000), 5000))
    equal(t.range(5000, ots.INF_MAX), (None, list(range(5000, 5200))))


@case("GetRange", "an answer holds at most four megabytes")
def _(t: Table) -> None:
    t.make(("pk", "INTEGER"))
    for n in range(5):
        t.put(n, ("c", bytearray(1024 * 1024)))
    equal(t.range(ots.INF_MIN, ots.INF_MAX), (key(3), [0, 1, 2]))


@case("GetRange", "a row wider than an answer comes in parts")
def _(t: Table) -> None:
    t.make()
    for name in "abc":
        t.update("wide", {"PUT": [(name, bytearray(2 * 1024 * 1024 - 100))]})
    following, token, cells, answers = key(ots.INF_MIN), None, [], 0
    while following:
        _, following, rows, token = t.client.get_range(
            t.name, FORWARD, following, key(ots.INF_MAX), max_version=1, token=token or None
        )
        cells += [(row.primary_key, name, len(value)) for row in rows for name, value, _ in row.attribute_columns]
        answers += 1
    equal(cells, [(key("wide"), name, 2 * 1024 * 1024 - 100) for name in "abc"])
    equal(answers > 1, True)


@case("GetRange", "a limit of none is refused")
def _(t: Table) -> None:
    t.make()
    found = refused(lambda: t.range(ots.INF_MIN, ots.INF_MAX, limit=0))
    equal(found, (400, "OTSParameterInvalid", "The limit must be greater than 0."))


@case("StartLocalTransaction", "a table without transactions refuses")
def _(t: Table) -> None:
    t.make()
    found = refused(lambda: t.client.start_local_transaction(t.name, key("k")))
    text = "Try to call method using explicit transaction on explicit-transaction-disabled table."
    equal(found, (400, "OTSParameterInvalid", text))


@case("CommitTransaction", "a transaction that is not there is refused")
def _(t: Table) -> None:
    found = refused(lambda: t.client.commit_transaction("x"))
    equal(found, (400, "OTSParameterInvalid", "TransactionID is invalid."))


@case("AbortTransaction", "a transaction that is not there is refused")
def _(t: Table) -> None:
    found = refused(lambda: t.client.abort_transaction("x"))
    equal(found, (400, "OTSParameterInvalid", "TransactionID is invalid."))


@case("ListSearchIndex", "there is none")
def _(t: Table) -> None:
    t.make()
    equal(t.client.list_search_index(t.name), [])
    equal(t.client.list_search_index(), [])


@case("ListSearchIndex", "a table that is not there is refused")
def _(t: Table) -> None:
    equal(refused(lambda: t.client.list_search_index(t.name)), NO_TABLE)


def add_index_cases(operation: str, action: Callable[[Table], object], no_index: Any, no_table: Any) -> None:
    @case(operation, "an index that is not there is refused")
    def _(t: Table) -> None:
        t.make()
        equal(refused(lambda: action(t)), no_index)

    @case(operation, "a table that is not there is refused")
    def _(t: Table) -> None:
        equal(refused(lambda: action(t)), (*no_table[:2], no_table[2].replace("NAME", t.name)))


NO_INDEX = (404, "OTSObjectNotExist", "Requested index does not exist.")
for operation, action in {
    "DescribeSearchIndex": lambda t: t.client.describe_search_index(t.name, "i"),
    "UpdateSearchIndex": lambda t: t.client.update_search_index(
        t.name, "i", ots.SearchIndexMeta(None, time_to_live=DAY)
    ),
    "DeleteSearchIndex": lambda t: t.client.delete_search_index(t.name, "i"),
    "DropIndex": lambda t: t.client.delete_secondary_index(t.name, "i"),
}.items():
    add_index_cases(operation, action, NO_INDEX, NO_TABLE)

EVERY, COLUMNS = ots.MatchAllQuery(), ots.ColumnsToGet(return_type=ots.ColumnReturnType.ALL)
SCAN = ots.ScanQuery(EVERY, 10, None, 0, 1)
NOT_FOUND = (400, "OTSMetaNotMatch", "search index [i] does not exist")
for operation, action in {
    "Search": lambda t: t.client.search(t.name, "i", ots.SearchQuery(EVERY, limit=1), COLUMNS),
    "ComputeSplits": lambda t: t.client.compute_splits(t.name, "i"),
    "ParallelScan": lambda t: t.client.parallel_scan(t.name, "i", SCAN, "session", COLUMNS),
}.items():
    add_index_cases(operation, action, NOT_FOUND, (400, "OTSParameterInvalid", "table [NAME] does not exist"))


@case("CreateIndex", "a table that is not there is refused")
def _(t: Table) -> None:
    index = ots.SecondaryIndexMeta("i", ["n"], [])
    equal(refused(lambda: t.client.create_secondary_index(t.name, index, False)), NO_TABLE)


@case("instance", "one that nobody made is refused")
def _(t: Table) -> None:
    stranger = connect(instance="blahblahblah")
    equal(refused(stranger.list_table), (403, "OTSAuthFailed", "The instance is not found."))


@case("codec", "it is the one that this judge is named for")
def _(t: Table) -> None:
    encoder, decoder = t.client.protocol.encoder, t.client.protocol.decoder
    used = {
        "encoder": encoder._use_native_encoder,
        "decoder": decoder._use_native_decoder,
        "row parser": decoder._use_native_parser,
    }
    equal([name for name in used if used[name]], asked()["options"]["codec"])


@case("signature", "a wrong secret is refused")
def _(t: Table) -> None:
    equal(refused(connect(secret="wrong").list_table)[:2], (403, "OTSAuthFailed"))


@case("signature", "a security token is taken")
def _(t: Table) -> None:
    equal(type(connect(sts_token="token").list_table()), tuple)


def connect(secret: str = "", instance: str = "", **options: Any) -> Any:
    """A client as this judge is told to be, but for what is given."""
    wanted = asked()
    access = wanted["services"]["tablestore"]
    told = {name: value for name, value in wanted["options"].items() if name != "codec"}
    account = access["access_key_id"], secret or access["access_key_secret"]
    return ots.OTSClient(access["endpoint"], *account, instance or wanted["instance"], **told, **options)


def main() -> None:
    client = connect()
    cases.run(asked()["client"], lambda number: Table(client, f"t{number}"))


if __name__ == "__main__":
    main()
