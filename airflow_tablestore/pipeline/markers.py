"""The two markers of a finished export: what `_SUCCESS` holds, and how both come back when they were removed in vain.

The publication itself writes them as multipart uploads, see `publish`.
"""

from __future__ import annotations

from airflow_tablestore.pipeline.claim import entries, highest_fence, to_json
from airflow_tablestore.pipeline.fence import read_fence
from airflow_tablestore.pipeline.layout import MANIFEST, SUCCESS
from airflow_tablestore.pipeline.manifest import Manifest, is_complete
from airflow_tablestore.pipeline.store import Store


def success_of(manifest: Manifest) -> bytes:
    """What `_SUCCESS` holds: whose success it is."""
    return to_json({"run": manifest.run, "claim": manifest.claim}) + b"\n"


def restore_markers(store: Store, prefix: str) -> None:
    """Give the standing export back what a publisher that was outranked while it slept may have removed.

    Only the export of whoever is highest, as its fence tells it, and only when all its objects stand complete. Of an
    earlier one nothing is restored, though it may be whole: its successor may be past removing `_SUCCESS`, and would
    complete its objects beside one that says all is done.
    """
    found = highest_fence(entries(store, prefix))
    fence = read_fence(store, found[1]) if found else None
    if not found or not fence or not fence.manifest or not is_complete(store, fence.manifest):
        return
    if highest_fence(entries(store, prefix)) != found:  # looking at every object took its time
        return
    text = fence.manifest.to_bytes()
    manifest = store.get(prefix + MANIFEST)
    if manifest is None:
        store.put_if_absent(prefix + MANIFEST, text)
    if manifest in (None, text) and store.head(prefix + SUCCESS) is None:
        store.put(prefix + SUCCESS, success_of(fence.manifest))
