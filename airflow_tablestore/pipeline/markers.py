"""The two markers of a finished export: what `_SUCCESS` holds, and how both come back when they were removed in vain.

A marker is written as a multipart upload that stands in its writer's fence: whoever outranks the writer aborts it, so
no marker of an earlier export can come to stand beside a later one's work, however long its writer slept.
"""

from __future__ import annotations

from dataclasses import replace

from airflow_tablestore.pipeline.claim import Entry, Rank, Upload, entries, highest_fence, to_json
from airflow_tablestore.pipeline.fence import Fence, read_fence, write_fence
from airflow_tablestore.pipeline.layout import MANIFEST, SUCCESS, fence_key
from airflow_tablestore.pipeline.manifest import Manifest, is_complete
from airflow_tablestore.pipeline.store import Store, UploadGone


def success_of(manifest: Manifest) -> bytes:
    """What `_SUCCESS` holds: whose success it is."""
    return to_json({"run": manifest.run, "claim": manifest.claim}) + b"\n"


def finish_marker(store: Store, upload: Upload, data: bytes) -> None:
    """:raises UploadGone: somebody who outranks this publisher has aborted it, or it is finished already."""
    part = store.upload_part(upload.key, upload.upload_id, 1, data)
    store.complete(upload.key, upload.upload_id, [part])


def restore_markers(store: Store, prefix: str, pipeline: str, rank: Rank, own: Fence | None) -> None:
    """Give the standing export back what a publisher that was outranked while it slept may have removed.

    Only the export of whoever is highest, as its fence tells it, and only when all its objects stand complete. Of an
    earlier one nothing is restored, though it may be whole: its successor may be past removing `_SUCCESS`, and would
    complete its objects beside one that says all is done.

    :param rank: of the outranked publisher.
    :param own: its fence; None when it has raised none.
    """
    highest = highest_fence(entries(store, prefix))
    missing = _missing(store, prefix, highest[1]) if highest else {}
    if not missing:
        return
    uploads = tuple(Upload(key, store.initiate(key)) for key in missing)
    is_recorded = _is_recorded(store, prefix, pipeline, rank, own, uploads)
    if not is_recorded or highest_fence(entries(store, prefix)) != highest:
        for upload in uploads:
            store.abort(upload.key, upload.upload_id)
        return
    try:
        for upload in uploads:
            finish_marker(store, upload, missing[upload.key])
    except UploadGone:  # a still higher publisher came after that look, and so has seen the record
        return


def _missing(store: Store, prefix: str, entry: Entry) -> dict[str, bytes]:
    """The markers that should stand and do not, in the order in which they are written."""
    fence = read_fence(store, entry)
    if not fence or not fence.manifest or not is_complete(store, fence.manifest):
        return {}
    text, missing = fence.manifest.to_bytes(), {}
    manifest = store.get(prefix + MANIFEST)
    if manifest is None:
        missing[prefix + MANIFEST] = text
    if manifest in (None, text) and store.head(prefix + SUCCESS) is None:
        missing[prefix + SUCCESS] = success_of(fence.manifest)
    return missing


def _is_recorded(
    store: Store, prefix: str, pipeline: str, rank: Rank, own: Fence | None, uploads: tuple[Upload, ...]
) -> bool:
    """Put the uploads on record; False when another execution of this same attempt has its fence there."""
    if own is None:
        return store.put_if_absent(fence_key(prefix, *rank), to_json(Fence(pipeline, uploads).to_json()))
    write_fence(store, prefix, rank, replace(own, uploads=(*own.uploads, *uploads)))
    return True
