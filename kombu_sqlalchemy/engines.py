"""An engine of the store's own, made for queues."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from kombu.exceptions import InvalidURL, MissingDriver
from kombu.sql.patience import Watch
from kombu.utils.url import sanitize_url

_SQLITE_TIMEOUT = 20.0
"""Seconds that a statement waits for another process that writes."""


def make_engine(url: str, timeout: float, options: Mapping[str, Any]) -> Engine:
    """For a SQLAlchemy URL; ``timeout`` is seconds for connecting, ``options`` are ``create_engine``'s.

    Raises :class:`InvalidURL`, and :class:`MissingDriver` with the pip command.
    """
    parsed = _parsed(url)
    settings: dict[str, Any] = {"poolclass": NullPool, **options}
    unsaid = {name: value for name, value in _connect_args(parsed, timeout).items() if name not in parsed.query}
    settings["connect_args"] = {**unsaid, **settings.get("connect_args", {})}
    try:
        engine = create_engine(parsed, **settings)
    except (NoSuchModuleError, ModuleNotFoundError) as exc:
        raise MissingDriver(_missing(parsed, exc)) from exc
    except (ArgumentError, TypeError) as exc:
        raise InvalidURL(f"{sanitize_url(url)}: {exc}") from exc
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _write_ahead)
    else:
        event.listen(engine, "do_connect", partial(_dial, timeout=timeout))
    return engine


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise InvalidURL(f"sqla+{sanitize_url(url)}: not a URL of SQLAlchemy's") from exc
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InvalidURL(
            "sqla+sqlite:// in memory is one connection's alone: name a file, as in sqla+sqlite:///queues.sqlite3,"
            " or use memory://"
        )
    if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("mysql", "mariadb"):
        return parsed.set(drivername=f"{parsed.drivername}+{_mysql_driver()}")
    return parsed


def _mysql_driver() -> str:
    """The faster one, where it is installed."""
    from importlib.util import find_spec

    return "mysqldb" if find_spec("MySQLdb") else "pymysql"


def _connect_args(url: URL, timeout: float) -> dict[str, Any]:
    match url.get_backend_name():
        case "sqlite":
            return {"timeout": _SQLITE_TIMEOUT, "check_same_thread": False}
        case "postgresql" if url.get_driver_name() in ("psycopg", "psycopg2"):
            return {"connect_timeout": max(round(timeout), 2)}
        case "mysql" | "mariadb":
            return {"connect_timeout": max(round(timeout), 1), "charset": "utf8mb4"}
        case _:
            return {}


@contextmanager
def dialling(limit: float) -> Iterator[None]:
    """A connection that is made in the block is given up when the server says nothing for ``limit`` seconds, before
    SQLAlchemy has learnt what it wants to know of it."""
    with Watch(None, limit) as watch:
        _dials.watch = watch
        try:
            yield
        finally:
            _dials.watch = None


class _Dials(threading.local):
    """What looks after the connection that this thread makes ready."""

    watch: Watch | None = None


_dials = _Dials()


def _dial(dialect: Any, _: object, args: Sequence[Any], options: dict[str, Any], timeout: float) -> Any:
    """PyMySQL's own limit ends when the server has taken the call, and it need not say a word then."""
    if dialect.driver == "pymysql":
        driver = dialect.connect(*args, **{**options, "defer_connect": True})
        with Watch(driver, timeout):
            driver.connect()
    else:
        driver = dialect.connect(*args, **options)
    if _dials.watch is not None:
        _dials.watch.begin(driver)
    return driver


def _write_ahead(connection: sqlite3.Connection, _: object) -> None:
    """Readers and a writer at the same time: https://www.sqlite.org/wal.html. Changing to it once needs the file for
    oneself, and nobody waits for that."""
    deadline = time.monotonic() + _SQLITE_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.DatabaseError as exc:
            if "locked" not in str(exc) or time.monotonic() > deadline:
                connection.close()  # SQLAlchemy forgets it then
                raise
            time.sleep(0.01)
        else:
            return


def _missing(url: URL, exc: Exception) -> str:
    extra = {"postgresql": "postgresql", "mysql": "mariadb", "mariadb": "mariadb"}.get(url.get_backend_name())
    how = f"pip install 'kombu[sqlalchemy,{extra}]'" if extra else "install the driver that SQLAlchemy names"
    return f"sqla+{url.drivername}:// needs a driver that is not installed ({exc}): {how}"
