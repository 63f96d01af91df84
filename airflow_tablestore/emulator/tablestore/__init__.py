"""The Tablestore data service over SQLite: tables, rows, batches, ranges, split points.

`app.py` speaks HTTP and signatures, `service.py` names the operations; `definitions.py`, `writes.py`, `reads.py` and
`splits.py` carry them out, `storage.py` keeps the bytes. What differs from the service is told in
`docs/reference/emulator-tablestore.md`.
"""
