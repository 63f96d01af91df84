"""MaxCompute on 127.0.0.1: projects, tables, SQL instances and the tunnel, as `pyodps` speaks to them.

`app.py` is the door; `rest.py` and `tunnel.py` answer; `store.py` keeps. Importing this package loads nothing heavy:
pyarrow comes with the first rows, DuckDB with the first SELECT.
"""
