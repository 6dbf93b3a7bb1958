"""Attributes that are made when they are first asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

__all__ = ["cached_property"]

T = TypeVar("T")


class cached_property(functools.cached_property[T], Generic[T]):
    """:class:`functools.cached_property` with a setter, which says what is kept, and a deleter.

    ``@name.setter`` marks a method that is given what was assigned and answers what shall be kept instead.
    ``@name.deleter`` marks one that is given what was kept; it is not called where nothing was.
    Two threads that ask first at the same moment may each make a value.
    """

    def __init__(
        self,
        fget: Callable[[Any], T],
        fset: Callable[[Any, Any], T] | None = None,
        fdel: Callable[[Any, T], object] | None = None,
    ) -> None:
        super().__init__(fget)
        self.fset = fset
        self.fdel = fdel

    def __set__(self, instance: object, value: Any) -> None:
        instance.__dict__[self._name] = value if self.fset is None else self.fset(instance, value)

    def __delete__(self, instance: object) -> None:
        missing = object()
        value: Any = instance.__dict__.pop(self._name, missing)
        if self.fdel is not None and value is not missing:
            self.fdel(instance, value)

    @property
    def _name(self) -> str:
        if self.attrname is None:
            raise TypeError("this cached_property has no name: it has to be an attribute of a class")
        return self.attrname

    def setter(self, fset: Callable[[Any, Any], T]) -> Self:
        return type(self)(self.func, fset, self.fdel)

    def deleter(self, fdel: Callable[[Any, T], object]) -> Self:
        return type(self)(self.func, self.fset, fdel)
