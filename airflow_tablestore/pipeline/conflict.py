"""What stands under a prefix that `non_conflict` wants empty.

What a publication of this pipeline left that never came to its end does not count: nobody was told to read it, and
whoever publishes next replaces it. Everything else does, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_tablestore.pipeline.claim import entries
from airflow_tablestore.pipeline.fence import Fence, fences
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, SUCCESS, is_ours
from airflow_tablestore.pipeline.manifest import read_manifest
from airflow_tablestore.pipeline.store import Store


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
