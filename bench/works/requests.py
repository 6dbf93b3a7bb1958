"""How many requests are sent: counted in this process, where every one of a driver's passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import Any

Sent = Callable[[], int]


def counting(kind: str, wanted: bool = True) -> Sent:
    """How many there were since this was called, which has to be before the driver connects; 0 if not wanted."""
    numbers = count(1)
    sent = [0]

    def one_more() -> None:
        sent[0] = next(numbers)  # of whatever thread: a count has no gaps

    if wanted:
        _COUNTED[kind](one_more)
    return lambda: sent[0]


def _sqs(one_more: Callable[[], None]) -> None:
    from botocore.httpsession import URLLib3Session

    _before(URLLib3Session, "send", one_more)


def _couchdb(one_more: Callable[[], None]) -> None:
    import httpx

    _before(httpx.Client, "send", one_more)


def _mongodb(one_more: Callable[[], None]) -> None:
    from pymongo import monitoring

    class Listener(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            one_more()

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            """It was counted."""

        def failed(self, event: monitoring.CommandFailedEvent) -> None:
            """It was counted."""

    monitoring.register(Listener())


def _before(owner: type, method: str, one_more: Callable[[], None]) -> None:
    send = getattr(owner, method)

    @wraps(send)
    def counted(*args: Any, **options: Any) -> Any:
        one_more()
        return send(*args, **options)

    setattr(owner, method, counted)


_COUNTED = {"sqs": _sqs, "mongodb": _mongodb, "couchdb": _couchdb}
