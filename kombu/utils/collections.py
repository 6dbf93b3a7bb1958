"""Dictionaries by a hash that the keys say themselves."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, MutableMapping
from typing import Generic, TypeVar

__all__ = ["EqualityDict", "HashedSeq", "eqhash"]

K = TypeVar("K")
V = TypeVar("V")


class HashedSeq(tuple[object, ...]):
    """A tuple that counts its hash once."""

    hashvalue: int

    def __new__(cls, *seq: object) -> HashedSeq:
        made = super().__new__(cls, seq)
        made.hashvalue = tuple.__hash__(made)
        return made

    def __hash__(self) -> int:
        return self.hashvalue

    def __getnewargs__(self) -> tuple[object, ...]:
        return tuple(self)


def eqhash(o: object) -> Hashable:
    """What ``o`` is told apart by: what its ``__eqhash__()`` says, or itself."""
    told = getattr(o, "__eqhash__", None)
    if callable(told):
        answer: Hashable = told()
        return answer
    return o


class EqualityDict(MutableMapping[K, V], Generic[K, V]):
    """A dictionary whose keys are told apart by :func:`eqhash`: two connections to one broker are one key.

    A subclass may define ``__missing__(key)``, which answers for what is not there, :meth:`get` included.
    """

    def __init__(self) -> None:
        self._items: dict[Hashable, tuple[K, V]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._items.values())})"

    def __getitem__(self, key: K) -> V:
        found = self._items.get(eqhash(key))
        return self.__missing__(key) if found is None else found[1]

    def __missing__(self, key: K) -> V:
        raise KeyError(key)

    def __setitem__(self, key: K, value: V) -> None:
        self._items[eqhash(key)] = key, value

    def __delitem__(self, key: K) -> None:
        del self._items[eqhash(key)]

    def __contains__(self, key: object) -> bool:
        return eqhash(key) in self._items

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in list(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)
