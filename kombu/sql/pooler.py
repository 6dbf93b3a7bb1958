"""Whether a connection pooler such as pgbouncer stands between a program and PostgreSQL."""

from __future__ import annotations

from typing import Any


def is_behind_pooler(driver: Any) -> bool:
    """Whether this connection of psycopg 3 is answered by another process than the one it was opened to.

    A pooler that lends its connections for a transaction has no LISTEN
    (https://www.pgbouncer.org/features.html), and whether it does cannot be seen; that there is one can.
    """
    return bool(driver.execute("SELECT pg_backend_pid()").fetchone()[0] != driver.info.backend_pid)
