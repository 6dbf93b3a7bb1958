"""Statements that PostgreSQL prepares once for a connection, which Django by itself does not ask for.

Parsing and planning is two thirds of what putting a message takes there. ``PREPARE`` and ``EXECUTE`` as SQL
(https://www.postgresql.org/docs/current/sql-prepare.html) leave Django's own settings alone. A connection pooler that
lends a server's connection for a transaction has no prepared statements: behind one nothing is prepared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_USES = 3
"""Of a statement before it is prepared: a rare one is not worth it."""

_MOST = 200
"""Statements that a connection prepares: each keeps some memory of the server."""


_uses: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
"""Of each statement, by the driver's connection, which several stores may share."""


class Prepared:
    """What connections have prepared. To be used by several threads, each with a connection of its own."""

    def executing(self, driver: Any, statement: str, parameters: int, run: Callable[[str], object]) -> str:
        """What to send instead of ``statement``, or that itself; ``run`` sends what prepares it."""
        uses = _uses.get(driver)
        if uses is None:
            uses = _uses[driver] = {}
        used = uses.get(statement, 0)
        if used < _USES:
            if used or len(uses) < _MOST:
                uses[statement] = used + 1
            return statement
        name = f"kombu_{abs(hash(statement)):x}"
        if used == _USES:
            run(f"PREPARE {name} AS {_numbered(statement)}")
            uses[statement] = used + 1
        return f"EXECUTE {name} ({', '.join(['%s'] * parameters)})" if parameters else f"EXECUTE {name}"

    def forget(self, driver: Any) -> None:
        """Of a connection that has lost them, as DISCARD ALL does."""
        _uses.pop(driver, None)


def _numbered(statement: str) -> str:
    first, *rest = statement.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))
