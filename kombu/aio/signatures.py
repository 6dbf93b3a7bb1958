"""Typing for methods that take what a method of the blocking API takes, so that no signature is kept twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def takes_what(
    template: Callable[Concatenate[Any, P], object],
) -> Callable[[Callable[Concatenate[S, ...], R]], Callable[Concatenate[S, P], R]]:
    """The decorated method has the arguments of ``template``, but for the first of each; it passes them on."""

    def typed(method: Callable[Concatenate[S, ...], R]) -> Callable[Concatenate[S, P], R]:
        method.__wrapped__ = template  # type: ignore[attr-defined]
        return cast(Callable[Concatenate[S, P], R], method)

    return typed
