"""Which statements a server prepares: those that are used again, and not too many."""

from __future__ import annotations

from random import getrandbits

_USES = 3
"""Of a statement before it is prepared: a rare one is not worth it."""


class Often:
    """Of one connection, for which a server keeps ``most`` prepared statements."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.forget()

    def forget(self) -> None:
        """The server has."""
        self.names: dict[str, str] = {}
        self._used: dict[str, int] = {}
        self._prefix = f"kombu_{getrandbits(48):x}"  # of its own: the session may have been another's, and be again

    def is_due(self, statement: str) -> bool:
        """Whether to prepare it now, and :meth:`name` it; to be asked each time one without a name is used."""
        if len(self.names) == self._most:
            return False
        uses = self._used[statement] = self._used.get(statement, 0) + 1
        return uses > _USES

    def name(self, statement: str) -> str:
        """A new one."""
        del self._used[statement]
        name = self.names[statement] = f"{self._prefix}_{len(self.names)}"
        return name
