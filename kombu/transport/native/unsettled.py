"""What a channel's consumers hold, and which acknowledgements are owed: as few frames as AMQP needs for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Acks", "Unsettled", "fewest"]


class Acks(NamedTuple):
    """``up_to`` is for one basic.ack with ``multiple``, 0 for none; ``singly`` are for one each."""

    up_to: int
    singly: tuple[int, ...]


class Unsettled:
    """Delivery tags of one channel: those that nobody has settled, and those whose acknowledgement is still owed.

    Not locked. Tags come in rising order.
    """

    __slots__ = ("held", "owed")

    def __init__(self) -> None:
        self.held: dict[int, object] = {}
        """What was delivered, by tag."""
        self.owed: list[int] = []

    def ack(self, tag: int) -> bool:
        """It is settled now, the acknowledgement owed. Whether it was held."""
        if self.held.pop(tag, None) is None:
            return False
        self.owed.append(tag)
        return True

    def up_to(self, tag: int) -> list[int]:
        """The tags of what is held, up to this one."""
        return [each for each in self.held if each <= tag]

    def due(self) -> Acks | None:
        """All that is owed, and then no more."""
        owed = self.owed
        if not owed:
            return None
        self.owed = []
        return fewest(owed, self.held)

    def clear(self) -> None:
        """The channel is gone: the broker has put everything back."""
        self.held.clear()
        self.owed.clear()


def fewest(owed: Iterable[int], held: Iterable[int]) -> Acks:
    """``held`` in rising order: what comes before its first can be acknowledged all at once."""
    first = next(iter(held), None)
    if first is None:
        return Acks(max(owed), ())
    before = [tag for tag in owed if tag < first]
    return Acks(max(before, default=0), tuple(tag for tag in owed if tag > first))
