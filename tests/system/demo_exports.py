"""The part of the demo about full exports: four of one table into OSS, in three formats, and one into MaxCompute.

The oracle is the table itself, read with the official SDK; what was published is read with oss2, pyarrow and pyodps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system import compare, sample
from tests.system.demo_runs import Run, Runs
from tests.system.demo_verdicts import Verdict, size
from tests.system.demo_warehouse import Warehouse

KEY_NAMES = tuple(name for name, _ in sample.KEYS)
TO_MAXCOMPUTE = "gps_maxcompute"


@dataclass(frozen=True, slots=True)
class Example:
    """One pipeline of `dags/` and how its objects are read back."""

    dag_id: str
    prefix: str
    words: str
    read: Callable[[Iterable[Path], tuple[str, ...]], Iterator[tuple[compare.Key, compare.Cells]]]
    normal: Callable[[Any], Any]


EXAMPLES = (
    Example("gps_full", "gps/full/", "Parquet", compare.read_parquet, compare.as_is),
    Example("gps_full_csv", "gps/full_csv/", "csv.gz", compare.read_csv, compare.as_text),
    Example("gps_full_jsonl", "gps/full_jsonl/", "jsonl", compare.read_jsonl, compare.as_json),
    Example("gps_full_by_hand", "gps/by_hand/", "Parquet", compare.read_parquet, compare.as_is),
)


@dataclass
class FullExports:
    """Started at once, side by side; each has ended when its run has."""

    services: dict[str, Any] = field(repr=False)
    folder: Path
    title = f"{sample.TABLE}: full exports into OSS and MaxCompute"
    dags = (*(example.dag_id for example in EXAMPLES), TO_MAXCOMPUTE)

    def begin(self, runs: Runs) -> None:
        self._started = [runs.start(dag_id) for dag_id in self.dags]

    def step(self, runs: Runs) -> bool:
        """Whether all is done."""
        return all(runs.seen[key].is_over for key in self._started)

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        expected = compare.table_rows(sample.sdk_client(self.services["tablestore"]), sample.TABLE, KEY_NAMES)
        ended = {key[0]: runs.seen[key] for key in self._started}
        failed = {key[0]: runs.failures([key]) for key in self._started}
        for example in EXAMPLES:
            yield self._judged(example, ended[example.dag_id], failed[example.dag_id], expected)
        yield self._loaded(ended[TO_MAXCOMPUTE], failed[TO_MAXCOMPUTE], expected)

    def _judged(self, example: Example, run: Run, failed: str, expected: dict[compare.Key, compare.Cells]) -> Verdict:
        verdict = _of(run)
        if failed:
            return verdict("nothing", 0, failed)
        store = compare.bucket(self.services["oss"])
        try:
            published = compare.download(store, example.prefix, self.folder / "published" / example.dag_id)
        except compare.Different as different:
            return verdict("nothing whole", 0, str(different))
        found = f"OSS: {len(published.files)} {example.words}, {size(published.bytes)}"
        problem = compare.difference(expected, example.read(published.files, KEY_NAMES), example.normal)
        return verdict(found, published.manifest["rows"], problem)

    def _loaded(self, run: Run, failed: str, expected: dict[compare.Key, compare.Cells]) -> Verdict:
        verdict = _of(run)
        if failed:
            return verdict("nothing", 0, failed)
        warehouse = Warehouse(self.services["maxcompute"])
        partitions = warehouse.partitions("gps")
        if len(partitions) != 1:
            return verdict(f"MaxCompute: {len(partitions)} partitions", 0, f"not one partition: {partitions}")
        (partition,) = partitions
        count = warehouse.count("gps", partition)
        rows = compare.keyed(warehouse.rows("gps", partition), KEY_NAMES)
        problem = compare.difference(expected, rows, compare.as_is)
        if not problem and count != len(expected):
            problem = f"SELECT count(*) says {count}, the table has {len(expected)}"
        return verdict("MaxCompute: 1 partition", count, problem)


def _of(run: Run) -> Callable[[str, int, str], Verdict]:
    return lambda found, rows, problem: Verdict(run.dag_id, found, rows, "table", run.seconds, problem)
