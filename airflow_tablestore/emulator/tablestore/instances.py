"""The names that are instances. Who asks for another one is refused, as by the service.

The demo instance is always there; others are made on purpose, and stay until the data directory goes. Those that hold
tables are instances too, so that what an earlier version of the emulator kept can be reached.
"""

from __future__ import annotations

from airflow_tablestore.emulator.accounts import DEMO_INSTANCE
from airflow_tablestore.emulator.tablestore.errors import ServiceError, auth_failed
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.validation import check_instance_name
from airflow_tablestore.errors import SpecError

_SCHEMA = "CREATE TABLE IF NOT EXISTS instances (name TEXT PRIMARY KEY) WITHOUT ROWID"


class Instances:
    """The instances of one store, kept in its file. Safe to use from many threads."""

    def __init__(self, store: Store):
        self._store = store
        with store.transaction() as connection:
            connection.execute(_SCHEMA)
            made = {name for (name,) in connection.execute("SELECT name FROM instances")}
        self._names = frozenset({DEMO_INSTANCE, *made, *(table.instance for table in store.tables())})

    def names(self) -> list[str]:
        """All of them, sorted."""
        return sorted(self._names)

    def make(self, name: str) -> None:
        """Makes an instance without tables; one that is there stays as it is.

        :raises SpecError: no instance can have that name.
        """
        try:
            check_instance_name(name)
        except ServiceError as error:
            raise SpecError(
                f"{name!r} cannot be the name of an instance: 2 to 32 letters, digits and hyphens, "
                "a letter first and no hyphen last."
            ) from error
        with self._store.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO instances VALUES (?)", (name,))
            self._names |= {name}

    def check(self, name: str) -> None:
        """Refuses a name that is no instance's.

        Source: the tests of the official Python SDK and the service's page of error codes; a later edition of the page
        says "does not exist".
        """
        check_instance_name(name)
        if name not in self._names:
            raise auth_failed("The instance is not found.")
