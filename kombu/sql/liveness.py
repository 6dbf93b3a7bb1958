"""Whether a connection that was idle is still there, asked of the socket and not of the server.

A statement that is sent into a connection that the server has closed ends in an error that does not tell whether it
was carried out. Nobody sends anything to a client that has not asked, but to say goodbye: so look first.
"""

from __future__ import annotations

import select
from typing import Any

_OK = 0
"""libpq's CONNECTION_OK."""


class Pulse:
    """Of one connection, to be asked before each use: what the system has to be told is told once."""

    __slots__ = ("_pgconn", "_poll", "_socket", "driver")

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._pgconn = getattr(driver, "pgconn", None)
        self._socket = socket_of(driver)
        self._poll = select.poll()
        if self._socket is not None and self._socket >= 0:
            self._poll.register(self._socket, select.POLLIN)

    def is_dead(self) -> bool:
        """Of a connection of psycopg, PyMySQL or mysqlclient outside a transaction; False for what cannot be asked."""
        if self._socket is None:
            return False
        if self._pgconn is not None:
            if self._pgconn.status != _OK:
                return True
        elif self._socket < 0 or socket_of(self.driver) != self._socket:
            return True
        while self._poll.poll(0):
            if self._pgconn is None or _has_ended(self.driver):
                return True
        return False


def is_dead(driver: Any) -> bool:
    """The same of a connection that is asked rarely."""
    return Pulse(driver).is_dead()


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
