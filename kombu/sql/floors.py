"""Where the messages of a queue begin that are still to be claimed.

A claimed message leaves a dead entry at the beginning of the index's range, and each claim walks over all that vacuum
has not removed yet: after a million messages that takes longer than all the rest of the claim. Who has claimed as many
as wanted begins where those began.

It is a hint. Others may give messages back to their old place, or commit late what they stored before: so a claim that
finds fewer than wanted looks again from the beginning, and all do after a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kombu.sql.database import Row

Floors = Mapping[tuple[str, int], int]
"""By queue and priority: the place in line (``due_at``) before which nothing is looked for."""

NO_FLOORS: Floors = {}

_GOOD_FOR = 1.0
_PRIORITY, _DUE_AT = 2, 7


class KnownFloors:
    """Of one store, for the thread that claims; :meth:`forget` may be called by any."""

    def __init__(self) -> None:
        self._floors: dict[tuple[str, int], int] = {}
        self._since = 0.0

    def current(self) -> Floors:
        if self._floors and time.monotonic() - self._since > _GOOD_FOR:
            self._floors = {}
        return self._floors

    def forget(self) -> None:
        """Something may have gone back to its old place."""
        self._floors = {}

    def note(self, queue: str, rows: Iterable[Row]) -> None:
        """As many as wanted were claimed of this queue, and there may be more behind them."""
        if not self._floors:
            self._since = time.monotonic()
        lowest: dict[tuple[str, int], int] = {}
        for row in rows:
            level = queue, row[_PRIORITY]
            lowest[level] = min(row[_DUE_AT], lowest.get(level, row[_DUE_AT]))
        self._floors = {**self._floors, **lowest}
