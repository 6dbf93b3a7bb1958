"""What differs between databases, as plain values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from kombu.exceptions import InvalidURL, VersionMismatch
from kombu.transport.virtual.store import MessageId

PREFIX = "kombu_"
_A_PREFIX = re.compile(r"([a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*\Z")
_LONGEST_PREFIX = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect:
    """A database's way of saying things.

    ``now`` is its clock in microseconds since 1970. ``skip_locked`` passes over rows that others have locked, and
    ``for_update`` waits for them. ``chosen`` takes the rows that a subquery chooses, by what ``row`` is: PostgreSQL may
    run the subquery of an IN once for each row, and then one with a lock and a limit finds others each time; an array
    is made once. There the rows are named by their place, which stands still while they are locked.

    ``tie`` orders messages of one moment, as the index of claims has it. PostgreSQL's has an expression there that is
    no column: where vacuum has seen dead rows only, the planner takes all plans for equal, and would look for ids in
    any index that has them, also as the last of four columns, which reads all of it.

    ``updates_return`` and ``deletes_return``: whether it has ``UPDATE … RETURNING`` and ``DELETE … RETURNING``.
    ``one_writer``: who writes locks the whole database, so that a look before is cheaper than a try.
    ``values``: rows are written as one ``VALUES`` list; otherwise as a union of SELECTs. ``arrays``: many ids are
    one parameter, so that the statement is prepared once for any number.
    """

    name: str
    now: str
    oldest: tuple[int, ...]
    skip_locked: str = ""
    for_update: str = ""
    row: str = "id"
    chosen: str = "id IN ({})"
    tie: str = "id"
    integer: str = "%s"
    binary: str = "%s"
    text: str = "%s"
    quote: str = '"'
    on_conflict: str = "ON CONFLICT ({columns}) DO UPDATE SET {change}"
    ignore_conflict: str = "ON CONFLICT ({columns}) DO NOTHING"
    excluded: str = "excluded.{}"
    updates_return: bool = True
    deletes_return: bool = True
    one_writer: bool = False
    values: bool = True
    arrays: bool = False
    prefix: str = PREFIX

    def table(self, name: str) -> str:
        """The table's name, with the prefix and schema of this store. What users choose may be a word of SQL, as the
        schema ``user`` and the table ``session_user`` are."""
        if self.prefix == PREFIX:
            return PREFIX + name
        return ".".join(self.quoted(part) for part in f"{self.prefix}{name}".split("."))

    def among(self, number: int) -> str:
        """The condition that a row is one of so many, whose ids :meth:`ids` makes parameters."""
        return "id = ANY(%s::bigint[])" if self.arrays else f"id IN ({', '.join(['%s'] * number)})"

    def ids(self, ids: Iterable[MessageId]) -> list[Any]:
        """The parameters of :meth:`among`."""
        return [list(ids)] if self.arrays else list(ids)

    def quoted(self, name: str) -> str:
        """A name that is a word of SQL."""
        return f"{self.quote}{name}{self.quote}"

    def prefixed(self, prefix: str) -> Dialect:
        """For tables of another name; raises :class:`InvalidURL` for what is no prefix."""
        if not _A_PREFIX.match(prefix) or len(prefix.rpartition(".")[2]) > _LONGEST_PREFIX:
            raise InvalidURL(
                f"table_prefix={prefix!r} must be lower case letters, digits and '_', {_LONGEST_PREFIX} at most;"
                " a schema stands before it with a dot"
            )
        return _prefixed(self, prefix)

    def check_version(self, version: tuple[int, ...]) -> None:
        """Raises :class:`VersionMismatch` for a server that lacks what claiming needs."""
        if version < self.oldest:
            asked, found = (".".join(map(str, each)) for each in (self.oldest, version))
            raise VersionMismatch(
                f"{self.name} {found} is too old: {asked} or newer is needed, for {_NEEDED[self.name]}. Upgrade the"
                " server, or use another database for the queues"
            )


@lru_cache
def _prefixed(dialect: Dialect, prefix: str) -> Dialect:
    """One for all connections: statements are kept by it, whose hash is that of the object."""
    return replace(dialect, prefix=prefix)


_NEEDED = {
    "SQLite": "UPDATE … RETURNING",
    "PostgreSQL": "FOR UPDATE SKIP LOCKED and ON CONFLICT",
    "MariaDB": "FOR UPDATE SKIP LOCKED",
    "MySQL": "FOR UPDATE SKIP LOCKED",
}

SQLITE = Dialect(
    name="SQLite",
    now="CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    oldest=(3, 35),
    one_writer=True,
)
POSTGRESQL = Dialect(
    name="PostgreSQL",
    now="CAST(date_part('epoch', statement_timestamp()) * 1000000 AS bigint)",
    oldest=(9, 5),
    skip_locked=" FOR UPDATE SKIP LOCKED",
    for_update=" FOR UPDATE",
    row="ctid",
    chosen="ctid = ANY(ARRAY({}))",
    tie="(id + 0)",
    integer="%s::bigint",
    binary="%s::bytea",
    text="%s::text",
    arrays=True,
)
MARIADB = Dialect(
    name="MariaDB",
    now="TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
    oldest=(10, 6),
    skip_locked=" FOR UPDATE SKIP LOCKED",
    for_update=" FOR UPDATE",
    binary="CAST(%s AS BINARY)",
    quote="`",
    on_conflict="ON DUPLICATE KEY UPDATE {change}",
    ignore_conflict="",
    excluded="VALUES({})",
    updates_return=False,
    values=False,
)
MYSQL = replace(MARIADB, name="MySQL", oldest=(8, 0, 1), deletes_return=False)
