"""Statements to MariaDB, which reads a long one for as long as it takes to store a message: what is used often is
prepared, in the server's own words: https://mariadb.com/kb/en/execute-statement/.

What reads messages is read anew each time, as elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kombu.sql.statements.often import Often
from kombu.sql.statements.plain import Usual

_MOST = 20
"""Of one connection; a server has 16,382 for all: https://mariadb.com/kb/en/server-system-variables/."""
_UNKNOWN = 1243
"""ER_UNKNOWN_STMT_HANDLER: https://mariadb.com/kb/en/mariadb-error-code-reference/."""
_TOO_MANY = 1461
"""ER_MAX_PREPARED_STMT_COUNT_REACHED."""


class OfMariaDB(Usual):
    """By PyMySQL or mysqlclient."""

    def __init__(self, driver: Any) -> None:
        super().__init__(driver)
        self._often = Often(_MOST)

    def run(self, statement: str, parameters: Sequence[Any]) -> int:
        try:
            if (name := self._name(statement)) is not None:
                self._cursor.execute(*_execute(name, parameters))
                return int(self._cursor.rowcount)
        except self.driver.Error as exc:
            if exc.args[:1] == (_UNKNOWN,):  # somebody has reset the session, and nothing was done
                self._often.forget()
            elif exc.args[:1] == (_TOO_MANY,):
                self._often = Often(0)
            else:
                raise
        return super().run(statement, parameters)

    def _name(self, statement: str) -> str | None:
        """Of what is prepared; None for a rare one."""
        if (name := self._often.names.get(statement)) is None and self._often.is_due(statement):
            name = self._often.name(statement)
            self._cursor.execute(f"PREPARE {name} FROM %s", [statement.replace("%s", "?")])
        return name


def _execute(name: str, parameters: Sequence[Any]) -> tuple[str, list[Any]]:
    """The words, with the numbers in them, and the parameters that a driver has to quote."""
    values = ", ".join([str(value) if type(value) is int else "%s" for value in parameters])
    return f"EXECUTE {name} USING {values}", [value for value in parameters if type(value) is not int]
