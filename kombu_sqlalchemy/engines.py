"""An engine of the store's own, made for queues, and what is to be known of its URL."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from kombu.exceptions import InvalidURL, MissingDriver
from kombu.sql.patience import Watch
from kombu.utils.url import is_secret, sanitize_url

_SQLITE_TIMEOUT = 20.0
"""Seconds that a statement waits for another process that writes."""

_EXTRAS = {"sqlite": "sqlalchemy", "postgresql": "sqlalchemy,postgresql"}
_EXTRAS |= dict.fromkeys(("mysql", "mariadb"), "sqlalchemy,mariadb")
"""What pip is told, for the databases that may be named without a driver."""

_MEANT = {"postgres": "postgresql", "sqlite3": "sqlite"}
_NAMES_DATABASE = {"dbname", "service", "db", "database", "read_default_file", "read_default_group"}
"""Arguments by which the drivers of servers learn it, or where it is written."""


def make_engine(url: str, timeout: float, options: Mapping[str, Any]) -> Engine:
    """For a SQLAlchemy URL; ``timeout`` is seconds for connecting, ``options`` are ``create_engine``'s.

    Raises :class:`InvalidURL`, and :class:`MissingDriver` with the pip command.
    """
    parsed = _parsed(url)
    _check_database(url, parsed, options)
    settings: dict[str, Any] = {"poolclass": NullPool, **options}
    unsaid = {name: value for name, value in _connect_args(parsed, timeout).items() if name not in parsed.query}
    settings["connect_args"] = {**unsaid, **settings.get("connect_args", {})}
    try:
        engine = create_engine(parsed, **settings)
    except (NoSuchModuleError, ModuleNotFoundError) as exc:
        raise MissingDriver(_missing(parsed, exc)) from exc
    except (ArgumentError, TypeError) as exc:
        raise InvalidURL(f"{sanitize_url(url)}: {exc}") from exc
    if engine.dialect.is_async:
        raise InvalidURL(f"{parsed.drivername} is for asyncio, and kombu.aio needs none such: {_leave_out(parsed)}")
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _write_ahead)
    else:
        event.listen(engine, "do_connect", partial(_dial, timeout=timeout))
    return engine


def without_secrets(url: URL) -> str:
    """For people."""
    text = url.render_as_string(hide_password=True)
    return text if url.get_backend_name() == "sqlite" else sanitize_url(text)


def secrets(url: URL) -> Collection[str]:
    """What nothing that a driver says may repeat. A word that the URL shows anyway is none; what stands before an @ in
    the host is the rest of a password that was written without escapes."""
    found = {url.password, (url.host or "").rpartition("@")[0]}
    found.update(value for name, values in url.normalized_query.items() if is_secret(name) for value in values)
    shown = without_secrets(url)
    return {each for each in found if each and each not in shown}


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise InvalidURL(f"sqla+{sanitize_url(url)}: not a URL of SQLAlchemy's") from exc
    if meant := _MEANT.get(parsed.get_backend_name()):
        raise InvalidURL(f"sqla+{sanitize_url(url)}: SQLAlchemy's name is {meant}://, so write sqla+{meant}://")
    if _is_misread(url, parsed):
        raise InvalidURL(f"sqla+{sanitize_url(url)}: an @ in user, password or query is written %40")
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


def _is_misread(url: str, parsed: URL) -> bool:
    """SQLAlchemy lets a password end at the first @ behind a colon: in itself perhaps, or in the query."""
    user = url.partition("://")[2].partition(":")[0]
    return "@" in (parsed.host or "") or ("@" in user and "?" in (parsed.password or ""))


def _check_database(url: str, parsed: URL, options: Mapping[str, Any]) -> None:
    """PostgreSQL would take the one that is named like the user, and MariaDB none."""
    if parsed.database or parsed.get_backend_name() not in _EXTRAS or "creator" in options:
        return
    named = {*parsed.query, *options.get("connect_args", ())} & _NAMES_DATABASE
    if parsed.get_backend_name() == "postgresql":
        named |= os.environ.keys() & {"PGDATABASE", "PGSERVICE"}
    if not named:
        example = without_secrets(parsed.set(database="shop"))
        raise InvalidURL(f"{sanitize_url(url)} names no database: it stands at the end, as in {example}")


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
        driver = _called(dialect, args, {**options, "defer_connect": True})
        with Watch(driver, timeout):
            driver.connect()
    else:
        driver = _called(dialect, args, options)
    if _dials.watch is not None:
        _dials.watch.begin(driver)
    return driver


def _called(dialect: Any, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Drivers tell in ways of their own that an argument is none of theirs."""
    try:
        return dialect.connect(*args, **options)
    except UnicodeEncodeError:  # which has all of the text in it, a password perhaps: nobody is to find it behind ours
        said = "it cannot send the characters of user or password, which mysqlclient can"
    except OSError:
        raise
    except (TypeError, ValueError) as exc:
        said = f"{exc} (what is Kombu's goes into transport_options)"
    raise InvalidURL(f"the driver {dialect.driver} does not take this: {said}")


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
    said = f"sqla+{url.drivername}:// needs a driver that is not installed ({exc})"
    extra = _EXTRAS.get(url.get_backend_name())
    if extra is None:
        return f"{said}: install the driver that SQLAlchemy names"
    how = f"pip install 'kombu[{extra}]'"
    return f"{said}: {how}" if url.get_driver_name() in _INSTALLED else f"{said}: {_leave_out(url)}, and {how}"


_INSTALLED = {"psycopg", "pymysql"}
"""By the extras."""


def _leave_out(url: URL) -> str:
    return f"leave its name out, sqla+{url.get_backend_name()}://"
