"""Whether a connection that was idle is still there, asked of the socket and not of the server.

A statement that is sent into a connection that the server has closed ends in an error that does not tell whether it
was carried out. Nobody sends anything to a client that has not asked, but to say goodbye: so look first.
"""

from __future__ import annotations

import select
from typing import Any

_OK = 0
"""libpq's CONNECTION_OK."""


def is_dead(driver: Any) -> bool:
    """Of a connection of psycopg, PyMySQL or mysqlclient outside a transaction; False for what cannot be asked."""
    socket = socket_of(driver)
    if socket is None:
        return False
    if socket < 0:
        return True
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    while poll.poll(0):
        if not hasattr(driver, "pgconn") or _has_ended(driver):
            return True
    return False


def _has_ended(driver: Any) -> bool:
    """Of a connection of psycopg that has something to say: an announcement, perhaps, which stays for who listens, or
    a last word, and the end of the connection behind it."""
    try:
        driver.pgconn.consume_input()
    except driver.OperationalError:
        return True
    return bool(driver.pgconn.status != _OK)


def socket_of(driver: Any) -> int | None:
    """Its number, negative once it is closed; None for a driver that has none."""
    if (pgconn := getattr(driver, "pgconn", None)) is not None:
        return int(pgconn.socket) if pgconn.status == _OK else -1
    if hasattr(driver, "_sock"):  # PyMySQL
        return -1 if driver._sock is None else int(driver._sock.fileno())
    if hasattr(driver, "fileno"):
        return int(driver.fileno())
    return None
