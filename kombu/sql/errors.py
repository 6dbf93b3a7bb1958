"""What a driver's error means, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Collection

from kombu.exceptions import AccessRefused, ConnectionError, KombuError, OperationalError, VersionMismatch
from kombu.sql.database import Conflict
from kombu.sql.dialect import PREFIX

_CONFLICT = {"40001", "40P01", 1213, 1205, 517}
"""Serialization failures and deadlocks: https://www.postgresql.org/docs/current/errcodes-appendix.html,
https://mariadb.com/kb/en/mariadb-error-code-reference/, and SQLITE_BUSY_SNAPSHOT of https://www.sqlite.org/rescode.html."""

_NO_TABLE = {"42P01", 1146, "no such table"}
_NO_SCHEMA = {"3F000"}
_NO_COLUMN = {"42703", 1054, "no such column", "has no column named"}
_READ_ONLY = {"25006"}
_READ_ONLY_SERVER = {1290, 1792, 1836}
_READ_ONLY_FILE = {"readonly database"}
_FULL = {"53100", 1021, 1114, "disk is full"}
_NO_DATABASE = {"3D000", 1049, 'FATAL: database "'}
"""What PostgreSQL says while one connects has no code in psycopg, here and in the next."""
_NO_ENTRY = {"28P01", "28000", 1045, 1044, 1698, "authentication failed", "no pg_hba.conf entry", 'FATAL: role "'}
_NO_RIGHT = {"42501", 1142, 1143}
_NO_FILE = {"unable to open database file"}
_SHUT_DOWN = {"57P01", "57P02", "57P03", 1053}
_LOCKED = {"database is locked", "database table is locked"}
_TOO_LARGE = {1153, "54000", "too big"}


def explained(
    name: str,
    error: BaseException,
    *,
    lost: bool,
    migrate: str,
    prefix: str = PREFIX,
    secrets: Collection[str] = (),
) -> KombuError:
    """The error to raise instead of a driver's ``error`` on the database ``name``.

    ``lost``: the connection is of no more use. ``migrate`` says how the tables are made, whose names begin with
    ``prefix``. ``secrets`` are not repeated. What a server said before it hung up is certain: nothing was done; where
    it said nothing, ``uncertain`` is set on the error.
    """
    whole = " ".join(str(error).split())
    text = _without(secrets, whole)
    said = _codes(error)

    def says(known: Collection[object]) -> bool:
        return bool(said.intersection(known)) or any(isinstance(each, str) and each in whole for each in known)

    if says(_CONFLICT):
        return Conflict(f"{name}: {text}; another transaction was in the way, try again")
    if says(_NO_TABLE) and prefix in whole:
        return OperationalError(f"{name} has no kombu tables: {migrate}")
    if says(_NO_SCHEMA):
        return OperationalError(f"{name}: {text}. Create the schema, or mend the option table_prefix")
    if says(_NO_COLUMN):
        return VersionMismatch(f"the kombu tables of {name} are older than this release: {migrate} ({text})")
    if says(_READ_ONLY):
        return read_only(name, text)
    if says(_READ_ONLY_SERVER):
        return OperationalError(f"{name} is read-only: {text}. Connect to the primary, or give the right to write")
    if says(_READ_ONLY_FILE):
        advice = "Give this program the right to write to the file and to its folder, and leave out mode=ro"
        return OperationalError(f"{name} is read-only: {text}. {advice}")
    if says(_FULL):
        return OperationalError(f"{name}: no space left, and nothing of this was stored: {text}")
    if says(_NO_DATABASE):
        return OperationalError(f"{name} does not exist: {text}. Create it, or mend its name in the URL")
    if says(_NO_FILE):
        return OperationalError(f"{name}: {text}. Does its folder exist, and may this program write there?")
    if says(_NO_ENTRY):
        return AccessRefused(f"{name} does not let this user in: {text}")
    if says(_NO_RIGHT):
        return AccessRefused(f"{name}: this user has no right to the kombu tables: {text}")
    if says(_LOCKED):
        return OperationalError(f"{name}: {text}; other writers held it for longer than the option 'timeout' allows")
    if lost or says(_SHUT_DOWN):
        gone = ConnectionError(f"{name}: {text}")
        gone.uncertain = not says(_SHUT_DOWN)
        return gone
    return OperationalError(f"{name}: {text}")


def read_only(name: str, why: str) -> OperationalError:
    """The error for a database of PostgreSQL that takes no messages: a standby, perhaps."""
    advice = "Connect to the primary, or unset default_transaction_read_only"
    return OperationalError(f"{name} is read-only: {why}. {advice}")


def _without(secrets: Collection[str], text: str) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "**", text)
    return text


def _codes(error: BaseException) -> set[object]:
    """An SQLSTATE, MariaDB's number or SQLite's: where the drivers have them."""
    first = error.args[0] if error.args else None
    found = (getattr(error, "sqlstate", None), getattr(error, "sqlite_errorcode", None), first)
    return {each for each in found if each is not None and (isinstance(each, int) or len(str(each)) == _SQLSTATE)}


_SQLSTATE = 5
