"""Doing something until it is done: connecting, and calling what needs a connection, again after it was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Generic, ParamSpec, Protocol, TypeVar

from kombu.connection.lifeline import Lifeline, Replaced, deadline_in
from kombu.connection.parameters import Retrying
from kombu.exceptions import OperationalError
from kombu.retry import RetryPolicy, retry_over_time
from kombu.transport.base import Channel, TransportConnection

__all__ = ["OnRevive", "Revivable", "WithChannel", "connected_by", "ensured"]

P = ParamSpec("P")
T = TypeVar("T")

OnRevive = Callable[[Channel], object]


class Revivable(Protocol):
    """What goes on with another channel: a producer, a consumer, a connection."""

    def revive(self, channel: Channel, /) -> object: ...


def connected_by(line: Lifeline, how: Retrying) -> TransportConnection:
    """Connect; pauses come only when every broker of the list was tried."""
    deadline, policy, brokers = deadline_in(how.timeout), _policy(how), len(line.rota.urls)

    def pause_after(error: Exception, _: Iterator[float], retries: int) -> float:
        pause = policy.delay((retries + 1) // brokers) if line.rota.completes_cycle(retries) else 0.0
        if how.errback is not None:
            how.errback(error, pause)
        return pause

    return retry_over_time(
        lambda: line.connect(deadline, attempts=1),
        OperationalError,
        errback=pause_after,
        max_retries=how.max_retries,
        callback=how.callback,
        timeout=how.timeout,
    )


def ensured(
    line: Lifeline,
    obj: Revivable,
    fun: Callable[P, T],
    how: Retrying,
    on_revive: OnRevive | None,
    also_retried: tuple[type[Exception], ...],
) -> Callable[P, T]:
    """``fun`` that survives a lost connection; after the first loss it is tried again at once, later with pauses."""
    policy = _policy(how)

    @wraps(fun)
    def persistent(*args: P.args, **kwargs: P.kwargs) -> T:
        lost_errors: tuple[type[Exception], ...] = (OperationalError, *line.transport_class().connection_errors)
        deadline, lost = deadline_in(how.timeout), False
        revived: Channel | None = None

        def attempt() -> T:
            nonlocal lost, revived
            if lost and (channel := line.default_channel(deadline)) is not revived:
                obj.revive(channel)
                revived = channel
                if on_revive is not None:
                    on_revive(channel)
            lost = False
            return fun(*args, **kwargs)

        def pause_after(error: Exception, _: Iterator[float], retries: int) -> float:
            nonlocal lost
            if isinstance(error, lost_errors):
                lost = True
                if not isinstance(error, Replaced):
                    line.give_up()
            pause = policy.delay(retries) if retries else 0.0
            if how.errback is not None:
                how.errback(error, pause)
            return pause

        try:
            return retry_over_time(
                attempt,
                (*lost_errors, *also_retried),
                errback=pause_after,
                max_retries=how.max_retries,
                timeout=how.timeout,
            )
        except lost_errors as exc:
            if isinstance(exc, OperationalError):
                raise
            raise OperationalError(f"{line.target.as_uri()}: {line.hide(str(exc) or repr(exc))}") from exc

    return persistent


class WithChannel(Generic[T]):
    """Calls ``fun`` with the channel as it is then; answers that, too."""

    def __init__(self, fun: Callable[..., T], channel: Channel | None, first: Callable[[], Channel]) -> None:
        self._fun, self._channel, self._first = fun, channel, first

    def revive(self, channel: Channel) -> None:
        self._channel = channel

    def __call__(self, *args: object, **kwargs: object) -> tuple[T, Channel]:
        if self._channel is None:
            self._channel = self._first()
        channel = self._channel
        return self._fun(*args, channel=channel, **kwargs), channel


def _policy(how: Retrying) -> RetryPolicy:
    return RetryPolicy(
        max_retries=how.max_retries,
        interval_start=how.interval_start,
        interval_step=how.interval_step,
        interval_max=how.interval_max,
    )
