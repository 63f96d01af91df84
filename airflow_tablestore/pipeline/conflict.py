"""What stands under a prefix and is in the way: of `non_conflict`, which wants it empty, and of other columns.

What a publication of this pipeline left that never came to its end does not count: nobody was told to read it, and
whoever publishes next replaces it. Everything else does, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.claim import entries
from airflow_tablestore.pipeline.contract import Schema
from airflow_tablestore.pipeline.fence import Fence, fences
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, SUCCESS, is_ours
from airflow_tablestore.pipeline.manifest import Manifest, read_manifest
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode


def refuse_conflict(store: Store, target: ObjectTarget, pipeline: str) -> None:
    """:raises SpecError: write_mode is non_conflict and something stands under the prefix."""
    if target.write_mode is not WriteMode.NON_CONFLICT:
        return
    key = conflicting_key(store, target.prefix, pipeline)
    if key is not None:
        raise SpecError(
            f"{store.uri(target.prefix)} must be empty for write_mode non_conflict, but holds {key}; "
            "choose another prefix, or truncate or append"
        )


def refuse_mixed_schemas(schema: Schema, standing: Manifest, run: str, place: str) -> None:
    """:raises SpecError: objects that stay would have other columns than those that are added.

    One manifest describes them all, by one schema.
    """
    stays = any(o.run != run for o in standing.objects)
    columns = [[(c.name, c.type) for c in one.columns] for one in (schema, standing.schema)]
    if stays and (columns[0] != columns[1] or schema.keeps_others != standing.schema.keeps_others):
        raise SpecError(
            f"{place} holds objects with other columns than this run would append. Keep the columns "
            "as they were and run without repin, or choose another prefix or write_mode truncate."
        )


def conflicting_key(store: Store, prefix: str, pipeline: str) -> str | None:
    """The first key that stands in the way of a new export; None when there is none."""
    half_made = half_made_keys(store, prefix, pipeline, [fence for _, fence in fences(store, entries(store, prefix))])
    markers = {prefix + MANIFEST, prefix + PREVIOUS}
    for found in store.list(prefix):
        if found.key not in half_made and (found.key in markers or not is_ours(prefix, found.key)):
            return found.key
    return None


def half_made_keys(store: Store, prefix: str, pipeline: str, raised: Iterable[Fence]) -> set[str]:
    """What unfinished publications have left: objects and manifests. Nothing, when `_SUCCESS` stands."""
    if store.head(prefix + SUCCESS) is not None:
        return set()
    intended = [
        fence.manifest for fence in raised if fence.pipeline == pipeline and fence.manifest and not fence.is_finished
    ]
    claims = {manifest.claim for manifest in intended}
    keys = {o.key for manifest in intended for o in manifest.objects}
    for name in (MANIFEST, PREVIOUS):
        manifest = read_manifest(store, prefix, name)
        if manifest and manifest.claim in claims:
            keys.add(prefix + name)
    return keys
