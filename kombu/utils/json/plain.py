"""Two walks through an object: is it plain JSON already, and what it is when made so."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from kombu.exceptions import EncodeError
from kombu.utils.json.marked import DICT_MARKER, KEYS, SET_MARKERS, TYPE_KEY, VALUE_KEY, Marked, NoStandIn, stand_in

__all__ = ["MAX_DEPTH", "is_plain", "plain"]

MAX_DEPTH = 200
"""The most levels of nesting that are written: every reader can read that many."""

_LONG = 2.0**63


def is_plain(obj: Any, room: int = MAX_DEPTH) -> bool:
    """Whether every JSON library would write and read this the same; false also means: look closer.

    An object or a list of nothing but JSON's own types, not their subclasses, without what may be a marked object,
    without floats that are no JSON numbers or might be whole numbers of more than 64 bits, and not nested deeper than
    ``room`` levels. Keys are not looked at. It runs for every message, so it asks for the most common first.
    """
    kind = type(obj)
    if kind is dict:
        if TYPE_KEY in obj or not room:
            return False
        obj = obj.values()
    elif (kind is not list and kind is not tuple) or not room:
        return False
    for value in obj:
        kind = type(value)
        if kind is str or kind is int or value is None or kind is bool:
            continue
        if kind is float:
            if not -_LONG < value < _LONG:
                return False
        elif not is_plain(value, room - 1):
            return False
    return True


def plain(obj: object) -> object:
    """The object in JSON's own types, with marked objects in place of what has a marker.

    Raises :class:`~kombu.exceptions.EncodeError`, naming the place, for what has no JSON form.
    """
    return _Walk().plain(obj)


class _Walk:
    """One walk: the containers it is in, and the steps that led there. It takes three frames of stack a level."""

    __slots__ = ("_above", "_steps")

    def __init__(self) -> None:
        self._above: set[int] = set()
        self._steps: list[object] = []

    def plain(self, obj: Any) -> object:
        kind = type(obj)
        if kind is str or kind is int or obj is None or kind is bool:
            return obj
        if kind is float:
            return self._finite(obj)
        if id(obj) in self._above:
            raise self._error("an object that contains itself")
        if len(self._above) == MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        self._above.add(id(obj))
        made = self._container(obj, kind)
        self._above.remove(id(obj))
        return made

    def _container(self, obj: Any, kind: type) -> object:
        if kind is dict:
            return self._dict(obj)
        if kind is list or kind is tuple:
            return self._list(obj)
        other = self._stand_in(obj)
        if type(other) is not Marked:
            return self.plain(other)
        value = self.plain(other.value)
        if other.marker in SET_MARKERS and not _hashable_again(value):
            raise self._error("a set with members that travel as objects could not be read back, a list can")
        return {TYPE_KEY: other.marker, VALUE_KEY: value}

    def _dict(self, obj: dict[object, object]) -> object:
        made: dict[object, object] = {}
        for key, value in obj.items():
            made_key = self._key(key)
            self._steps.append(key)
            made[made_key] = self.plain(value)
            self._steps.pop()
        if made.keys() == KEYS:
            return {TYPE_KEY: DICT_MARKER, VALUE_KEY: [list(pair) for pair in made.items()]}
        return made

    def _list(self, obj: Iterable[object]) -> list[object]:
        made = []
        for index, value in enumerate(obj):
            self._steps.append(index)
            made.append(self.plain(value))
            self._steps.pop()
        return made

    def _stand_in(self, obj: object) -> object:
        try:
            return stand_in(obj)
        except Exception as exc:
            reason = str(exc) if isinstance(exc, NoStandIn) else f"{type(obj).__qualname__}: {exc!r}"
            raise self._error(reason) from exc

    def _key(self, key: object) -> object:
        if isinstance(key, float):
            return self._finite(key)
        if key is None or isinstance(key, (str, int)):
            return key
        raise self._error(f"a key of type {type(key).__qualname__} has no JSON form")

    def _finite(self, number: float) -> float:
        if not isfinite(number):
            raise self._error(f"{number!r} is not a JSON number")
        return number

    def _error(self, reason: str) -> EncodeError:
        return EncodeError(f"{reason}: ${''.join(map(_shown, self._steps))}")


def _hashable_again(members: object) -> bool:
    """What was hashable may travel as something that is not: a dataclass as an object."""
    if isinstance(members, list):
        return all(map(_hashable_again, members))
    return not isinstance(members, dict) or (members.keys() == KEYS and members[TYPE_KEY] != DICT_MARKER)


def _shown(step: object) -> str:
    return f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{step!r}]"
