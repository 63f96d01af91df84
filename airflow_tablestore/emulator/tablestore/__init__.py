"""The Tablestore data service over SQLite: tables, rows, batches, ranges, split points.

`app.py` speaks HTTP and signatures, `service.py` names the operations, `tables.py`, `writes.py`, `reads.py` and
`splits.py` carry them out, `storage.py` keeps the bytes. `docs/reference/emulator-tablestore.md` says what differs from the service.
"""
