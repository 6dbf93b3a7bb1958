"""Publishing for later, on a plain RabbitMQ: see :mod:`kombu.transport.native.delay`."""

from __future__ import annotations

from collections.abc import Sequence

from kombu.exceptions import ChannelError, MessageReturned, NotFound
from kombu.transport.amqp.asking import Asking
from kombu.transport.amqp.publishing import Publisher, parts
from kombu.transport.base import Publication
from kombu.transport.native.delay import PREFIX, BindStep, bindings, check_delayed, delayed, stairs, top_level
from kombu.transport.native.errors import returned

__all__ = ["Delayer"]


class Delayer:
    """The stairs are declared once for a connection, as high as they are needed; and again where they are gone."""

    def __init__(self, asking: Asking, publisher: Publisher, driver: str) -> None:
        self._asking = asking
        self._publisher = publisher
        self._driver = driver
        self._top = -1

    def publish(self, publications: Sequence[Publication], deadline: float) -> None:
        """What :meth:`Publisher.publish` does. Messages for queues that do not exist are dropped, as ever."""
        for each in publications:
            check_delayed(each, self._driver)
        reachable = self._reachable(publications, deadline)
        there = [place for place, yes in enumerate(reachable) if yes]
        missed = [place for place, yes in enumerate(reachable) if not yes and publications[place].mandatory]
        parts(publications, [(there, self._send_delayed), (missed, _return)], deadline)

    def send(
        self, messages: Sequence[Publication], top: int, deadline: float, steps: Sequence[BindStep] | None = None
    ) -> None:
        """Messages on their way, which begin at ``top`` or below. ``steps``: the bindings that they need; None where
        those are there."""
        self._build(top, deadline)
        if steps is not None:
            self._bind(steps, deadline)
        try:
            self._publisher.publish(messages, deadline)
        except (MessageReturned, NotFound) as exc:
            if not _of_the_stairs(exc):
                raise
            places = range(len(messages)) if exc.not_stored is None else exc.not_stored
            again = [messages[place] for place in places]
            self._top = -1
            self._build(top, deadline)
            self._bind(bindings(again), deadline)
            parts(messages, [(places, self._publisher.publish)], deadline)

    def _send_delayed(self, publications: Sequence[Publication], deadline: float) -> None:
        top = max(top_level(each.delay) for each in publications)
        self.send([delayed(each) for each in publications], top, deadline)

    def _build(self, top: int, deadline: float) -> None:
        if top > self._top or self._top < 0:
            with self._asking.link.lock:
                self._asking.carry_out(stairs(top), deadline)
            self._top = max(top, 0)

    def _bind(self, steps: Sequence[BindStep], deadline: float) -> None:
        """Once more where the stairs themselves are gone."""
        for last in (False, True):
            try:
                with self._asking.link.lock:
                    self._asking.carry_out(steps, deadline)
                return
            except NotFound as exc:
                if last or not _of_the_stairs(exc):
                    raise
                top, self._top = self._top, -1
                self._build(top, deadline)

    def _reachable(self, publications: Sequence[Publication], deadline: float) -> list[bool]:
        """Of each, whether its queue or exchange exists; that is bound now."""
        self._build(max(top_level(each.delay) for each in publications), deadline)
        found: dict[tuple[str, str], bool] = {}
        for each in publications:
            target = _target(each)
            if target not in found:
                found[target] = self._bound(each, deadline)
        return [found[_target(each)] for each in publications]

    def _bound(self, publication: Publication, deadline: float) -> bool:
        """Raises where an exchange does not exist."""
        try:
            self._bind(bindings([delayed(publication)]), deadline)
        except NotFound as exc:
            if publication.exchange or _of_the_stairs(exc):
                raise
            return False
        return True


def _target(publication: Publication) -> tuple[str, str]:
    return publication.exchange, "" if publication.exchange else publication.routing_key


def _return(publications: Sequence[Publication], deadline: float) -> None:
    error = returned(publications[0].exchange, publications[0].routing_key)
    error.not_stored = tuple(range(len(publications)))
    raise error


def _of_the_stairs(exc: ChannelError) -> bool:
    return f"'{PREFIX}" in str(exc)
