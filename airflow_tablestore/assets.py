"""Tables and exports as Airflow assets.

A table is `tablestore://<connection>/<table>`: its instance's real name is not known when a DAG is parsed. Objects are
at their literal place, `oss://<bucket>/<prefix>`, up to the first placeholder of the prefix. Lineage carries the real
names of both. A table of MaxCompute is `maxcompute://<connection>/<table>`. What a tunnel carries is
`tablestore://<connection>/<table>/<tunnel>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from packaging.version import Version

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import Asset, AssetWatcher

SCHEME = "tablestore"
DEFAULT_CONNECTION = "tablestore_default"


def table_asset(connection: str, table: str) -> Asset:
    """The asset of a table."""
    return create_asset(connection=connection, table=table)


def tunnel_asset(connection: str, table: str, tunnel: str, watchers: Sequence[AssetWatcher] = ()) -> Asset:
    """The asset of what a tunnel carries and nobody has read yet; its events come from its watchers."""
    from airflow.providers.common.compat.sdk import Asset

    uri = f"{SCHEME}://{quote(connection, safe='')}/{quote(table, safe='')}/{quote(tunnel, safe='')}"
    return Asset(uri, watchers=list(watchers))


def objects_asset(bucket: str, prefix: str) -> Asset:
    """The asset of what is published under a prefix. A prefix with placeholders is cut before the first of them."""
    from airflow.providers.common.compat.sdk import Asset

    fixed = prefix.split("{", 1)[0].strip("/")
    return Asset(f"oss://{bucket}/{fixed}" if fixed else f"oss://{bucket}")


def delivered_asset(bucket: str, prefix: str) -> Asset:
    """The asset of what the service delivers under a prefix, which is cut before its first time variable."""
    fixed, mark, _ = prefix.partition("$")
    return objects_asset(bucket, fixed.rpartition("/")[0] if mark else fixed)


def loaded_table_asset(connection: str, table: str) -> Asset:
    """The asset of a table of MaxCompute, all its partitions together; its project is not known before a run."""
    from airflow.providers.common.compat.sdk import Asset

    return Asset(f"maxcompute://{quote(connection, safe='')}/{quote(table, safe='')}")


def as_inlets(own: Sequence[Asset], others: Sequence[Asset] | None = None) -> list[Asset]:
    """What a task tells that it reads: our own assets, where Airflow bears them, and those that a user adds.

    Before 3.1.4 the scheduler takes an asset that is only an inlet for one that nobody uses, and fails the tasks that
    start before the next parse (issue 58303 of Airflow). There, only lineage tells what is read.
    """
    return [*(own if _keeps_inlets() else ()), *(others or ())]


@cache
def _keeps_inlets() -> bool:
    from airflow import __version__

    return Version(__version__) >= Version("3.1.4")


def assets_of_source(source: Any) -> list[Asset]:
    """The asset of a pipeline's source, be it a mapping, a literal or made in Python.

    None while a template or another task has yet to say which table it is.
    """
    given = _names_in(source)
    return [table_asset(given.get("connection", DEFAULT_CONNECTION), given["table"])] if "table" in given else []


def assets_of_sink(sink: Any) -> list[Asset]:
    """The asset of a pipeline's sink, in the same way. The prefix may have templates: its asset ends before them."""
    given = _names_in(sink)
    if given.get("type") == "maxcompute":
        return (
            [loaded_table_asset(given.get("connection", "maxcompute_default"), given["table"])]
            if "table" in given
            else []
        )
    if given.get("type") == SCHEME:
        return assets_of_source(sink)
    return [objects_asset(given["bucket"], given["prefix"])] if {"bucket", "prefix"} <= set(given) else []


def _names_in(part: Any) -> dict[str, str]:
    part = getattr(part, "value", part)
    names = ("type", "connection", "table", "bucket", "prefix")
    given: Mapping[str, Any] = part if isinstance(part, Mapping) else {n: getattr(part, n, None) for n in names}
    found = {name: given[name] for name in names if given.get(name) is not None}
    is_known = all(isinstance(text, str) and (name == "prefix" or "{" not in text) for name, text in found.items())
    return found if is_known else {}


def create_asset(*, connection: str, table: str, extra: dict[str, Any] | None = None) -> Asset:
    """Airflow's factory of this scheme."""
    from airflow.providers.common.compat.sdk import Asset

    return Asset(f"{SCHEME}://{quote(connection, safe='')}/{quote(table, safe='')}", extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """The URI as Airflow stores it.

    :raises ValueError: it does not name exactly a connection and a table, or these and a tunnel.
    """
    names = uri.path.strip("/").split("/")
    if not uri.netloc or not all(names) or len(names) > 2 or uri.query:
        told = "a Tablestore asset is tablestore://<connection>/<table> or tablestore://<connection>/<table>/<tunnel>"
        raise ValueError(f"{told}, not {uri.geturl()!r}")
    return uri._replace(path=f"/{'/'.join(names)}")


def to_openlineage(asset: Asset, lineage_context: Any) -> Dataset | None:
    """The asset as a dataset of OpenLineage, named by its instance, which only the hook that saw it knows.

    None without a hook: a dataset under a connection's name would join with nobody else's. The operators tell their
    datasets themselves.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    instance = getattr(lineage_context, "instance", None)
    if not instance:
        return None
    return Dataset(namespace=f"{SCHEME}://{instance}", name=unquote(urlsplit(asset.uri).path.strip("/").split("/")[0]))
