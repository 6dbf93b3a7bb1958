"""What tests do to a database past the library: lock, look who waits, and end what a server does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tests.places import Place


@contextmanager
def locked_messages(place: Place) -> Iterator[None]:
    """Nobody can store or change any meanwhile."""
    with place.engine.connect() as connection:
        if place.database == "postgresql":
            connection.exec_driver_sql("LOCK TABLE kombu_message IN EXCLUSIVE MODE")
        else:
            connection.exec_driver_sql("LOCK TABLES kombu_message WRITE")
        try:
            yield
        finally:
            unlock(connection)


def unlock(connection: Connection) -> None:
    connection.rollback()
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql("UNLOCK TABLES")


def blocked(place: Place) -> list[int]:
    """The server's processes that wait for a lock in this database."""
    with place.engine.connect() as connection:
        return [number for (number,) in connection.exec_driver_sql(_BLOCKED[place.database])]


def end(place: Place, processes: list[int], only_what_it_does: bool = False) -> None:
    """As the server does by itself when it shuts down, or a limit is reached."""
    with place.engine.connect() as connection:
        for process in processes:
            if place.database == "postgresql":
                function = "pg_cancel_backend" if only_what_it_does else "pg_terminate_backend"
                connection.exec_driver_sql(f"SELECT {function}({process})")
            else:
                connection.exec_driver_sql(f"KILL {'QUERY' if only_what_it_does else 'CONNECTION'} {process}")


_BLOCKED = {
    "postgresql": ("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"),
    "mariadb": (
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table%%'"
        " UNION SELECT id FROM information_schema.processlist"  # nothing says quickly that a row is waited for
        " WHERE db = DATABASE() AND command = 'Query' AND time_ms > 100 AND id <> CONNECTION_ID()"
    ),
}
