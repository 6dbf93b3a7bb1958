"""Values that wait until they are asked for, lists that may be one thing, ranges, and calls written out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kombu.utils.caches import LRUCache, Memoized, memoize
from kombu.utils.encoding import safe_repr

if TYPE_CHECKING:
    from kombu.retry import retry_over_time

__all__ = [
    "ChannelPromise",
    "LRUCache",
    "Memoized",
    "accepts_argument",
    "dictfilter",
    "fxrange",
    "fxrangemax",
    "is_list",
    "lazy",
    "maybe_evaluate",
    "maybe_list",
    "maybe_promise",
    "memoize",
    "promise",
    "reprcall",
    "reprkwargs",
    "retry_over_time",
    "shufflecycle",
]

T = TypeVar("T")
V = TypeVar("V")


def __getattr__(name: str) -> object:
    """``retry_over_time`` lives a floor above the helpers, and only who asks for it loads it."""
    if name == "retry_over_time":
        return import_module("kombu.retry").retry_over_time
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class lazy(Generic[T]):
    """A call that is made each time its value is needed: ``lazy(fun, *args, **kwargs)``.

    Calling it, ``str``, ``repr`` and ``==`` need the value.
    """

    def __init__(self, fun: Callable[..., T], *args: object, **kwargs: object) -> None:
        self._fun = fun
        self._args = args
        self._kwargs = kwargs

    def __call__(self) -> T:
        return self.evaluate()

    def evaluate(self) -> T:
        """The value."""
        return self._fun(*self._args, **self._kwargs)

    def __str__(self) -> str:
        return str(self())

    def __repr__(self) -> str:
        return repr(self())

    def __eq__(self, other: object) -> bool:
        return bool(self() == maybe_evaluate(other))

    __hash__ = None  # type: ignore[assignment] # its value may change


def maybe_evaluate(value: Any) -> Any:
    """The value of a :class:`lazy`; anything else is its own value."""
    return value.evaluate() if isinstance(value, lazy) else value


promise = lazy
maybe_promise = maybe_evaluate


class ChannelPromise(Generic[T]):
    """A channel, or anything else, that is made when it is first called for, and kept."""

    def __init__(self, contract: Callable[[], T]) -> None:
        self.__contract__ = contract
        self._kept: tuple[T] | None = None

    def __call__(self) -> T:
        if self._kept is None:
            self._kept = (self.__contract__(),)
        return self._kept[0]

    def __repr__(self) -> str:
        return f"<promise: {self.__contract__!r}>" if self._kept is None else repr(self._kept[0])


def is_list(
    obj: object,
    scalars: tuple[type, ...] = (Mapping, str, bytes, bytearray),
    iters: tuple[type, ...] = (Iterable,),
) -> bool:
    """Whether it is many things: can be iterated over, and is neither text, bytes nor a mapping."""
    return isinstance(obj, iters) and not isinstance(obj, scalars)


def maybe_list(obj: Any, scalars: tuple[type, ...] = (Mapping, str, bytes, bytearray)) -> Any:
    """A list of one thing; many things, and None, stay as they are."""
    return obj if obj is None or is_list(obj, scalars) else [obj]


def dictfilter(d: Mapping[str, V | None] | None = None, **kw: V | None) -> dict[str, V]:
    """Without the keys whose value is None; of keywords when ``d`` is None."""
    return {key: value for key, value in (kw if d is None else d).items() if value is not None}


def shufflecycle(it: Iterable[T]) -> Iterator[T]:
    """The items for ever, in another order each time round; nothing, of nothing."""
    items = list(it)
    while items:
        random.shuffle(items)
        yield from items


def fxrange(
    start: float = 1.0, stop: float | None = None, step: float = 1.0, repeatlast: bool = False
) -> Iterator[float]:
    """``start``, one ``step`` more ... up to ``stop``, included; without end where that is None.

    ``repeatlast``: the last one again and again, instead of an end. Nothing where ``start`` is beyond ``stop``.
    """
    last = None
    for value in (start + step * steps for steps in count()):
        if stop is not None and value > stop:
            break
        last = value
        yield value
    while repeatlast and last is not None:
        yield last


def fxrangemax(start: float = 1.0, stop: float | None = None, step: float = 1.0, max: float = 100.0) -> Iterator[float]:
    """``start``, one ``step`` more ... and ``stop`` again and again, until all together are ``max`` or more."""
    total = 0.0
    for steps in count():
        if total >= max:
            return
        value = start + step * steps
        value = value if stop is None else min(value, stop)
        total += value
        yield value


def reprkwargs(kwargs: Mapping[str, object], sep: str = ", ", fmt: str = "{0}={1}") -> str:
    """Keyword arguments as they are written in a call."""
    return sep.join(fmt.format(name, safe_repr(value)) for name, value in kwargs.items())


def reprcall(
    name: str, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None, sep: str = ", "
) -> str:
    """A call as it is written: ``name(1, key='value')``."""
    arguments = [safe_repr(arg) for arg in args]
    if kwargs:
        arguments.append(reprkwargs(kwargs, sep))
    return f"{name}({sep.join(arguments)})"


def accepts_argument(func: Callable[..., object], argument_name: str) -> bool:
    """Whether ``func`` can be called with this keyword argument. Raises TypeError for what cannot be called."""
    import inspect

    parameters = inspect.signature(func).parameters
    found = parameters.get(argument_name)
    if found is not None and found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY):
        return True
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
