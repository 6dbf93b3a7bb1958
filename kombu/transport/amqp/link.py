"""One connection's channels by number: what is asked on them and answered, and whom each frame concerns."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple, ParamSpec
from weakref import WeakMethod

from amqp import spec
from amqp.serialization import dumps, loads

from kombu.exceptions import ChannelError, ChannelLimitExceeded, ConnectionError
from kombu.transport.amqp.dialing import Opened
from kombu.transport.amqp.frames import Parser, Signature, method
from kombu.transport.amqp.wire import Wire
from kombu.transport.native.errors import channel_error, connection_error

__all__ = ["Call", "Dropped", "Link", "Question", "Station", "deadline_in", "weakly"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")

_GOODBYE = 5.0
"""Seconds that a broker has to say goodbye."""


class Question(NamedTuple):
    """A method that is answered by another. ``form`` is that of its arguments, in py-amqp's letters."""

    signature: Signature
    form: str
    arguments: tuple[object, ...]
    answer: Signature


class Dropped(Exception):
    """The broker closed the channel because of another question: this one was not looked at."""


class Call:
    """A question that waits for its answer: ``answer`` is the arguments of that, ``error`` why there is none."""

    __slots__ = ("answer", "error", "expected", "on_answer")

    def __init__(self, expected: Signature, on_answer: Callable[[], object] | None = None) -> None:
        self.expected = expected
        self.on_answer = on_answer
        self.answer: tuple[Signature, bytes] | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None


class Station:
    """One channel of AMQP's, opened when it is needed and again after the broker has closed it.

    All methods are called with the lock of the link held.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.number = 0
        """0 while it is not open."""
        self._opening = False

    def ensure_open(self, deadline: float) -> int:
        """Its number."""
        while not self.number:
            if self._opening:
                self.link.wire.wait_for(lambda: not self._opening, deadline)
                continue
            self._opening = True
            try:
                self._open(deadline)
            finally:
                self._opening = False
                self.link.wire.stir()
        return self.number

    def ask(self, deadline: float, *questions: Question, on_answer: Callable[[], object] | None = None) -> list[bytes]:
        """The arguments of the answers. Raises the ``ChannelError`` that closed the channel instead."""
        while True:
            number = self.ensure_open(deadline)
            try:
                return self.link.ask(number, deadline, questions, on_answer)
            except Dropped:
                continue

    def close(self, deadline: float) -> None:
        """What it held goes back."""
        number, self.number = self.number, 0
        if number and self.link.wire.lost is None:
            question = Question(spec.Channel.Close, "BsBB", (200, "", 0, 0), spec.Channel.CloseOk)
            try:
                self.link.ask(number, deadline, [question])
            except Dropped:
                return  # the broker closed it at the same moment
            finally:
                self.link.free(number)

    def opened(self, number: int, deadline: float) -> None:
        """The channel is open: ask for what is needed on it before anything else."""

    def on_closed(self, error: ChannelError) -> None:
        """The broker has closed the channel."""

    def on_lost(self, error: ConnectionError) -> None:
        """The connection is lost."""

    def on_method(self, signature: Signature, arguments: bytes) -> None:
        """Something that was not asked for."""

    def on_content(self, signature: Signature, arguments: bytes, properties: bytes, body: bytes) -> None:
        """A message."""

    def _open(self, deadline: float) -> None:
        number = self.link.take_number(self)
        try:
            self.link.ask(number, deadline, [Question(spec.Channel.Open, "s", ("",), spec.Channel.OpenOk)])
            self.opened(number, deadline)
        except BaseException:
            self.link.free(number)
            raise
        self.number = number


class Link:
    """The wire, and who is at which of its channels."""

    def __init__(self, opened: Opened) -> None:
        self.frame_max = opened.frame_max
        self.blocked: str | None = None
        """Why the broker takes no messages at the moment."""
        self.before_asking: Callable[[], object] = lambda: None
        """Called before something is asked: what is owed goes out first."""
        self.wire = Wire(opened.sock, opened.heartbeat, weakly(self._feed), weakly(self._lost))
        self.lock = self.wire.mutex
        self._parser = Parser(self)
        self._channel_max = opened.channel_max
        self._stations: dict[int, Station] = {}
        self._calls: dict[int, deque[Call]] = {}
        self._closing = False

    def ask(
        self,
        number: int,
        deadline: float,
        questions: Sequence[Question],
        on_answer: Callable[[], object] | None = None,
    ) -> list[bytes]:
        """With the lock held: the answers. They are all asked at once; a wait in vain is the end of the connection."""
        self.before_asking()
        calls = [Call(question.answer, on_answer) for question in questions]
        frames = b"".join(method(number, each.signature, _arguments(each)) for each in questions)
        self.expect(number, calls)
        try:
            self.wire.send(frames, deadline)
            self.wire.wait_for(lambda: calls[-1].done, deadline)
        except TimeoutError as exc:
            error = ConnectionError("the broker does not answer: the wait for it is over")
            error.uncertain = True
            raise self.wire.lose(error) from exc
        return [_answered(call)[1] for call in calls]

    def expect(self, number: int, calls: Sequence[Call]) -> None:
        """With the lock held: these are about to be asked, in this order."""
        self._calls.setdefault(number, deque()).extend(calls)

    def take_number(self, station: Station) -> int:
        """With the lock held: a number that is free."""
        number = 1
        while number in self._stations:
            number += 1
        if number > self._channel_max:
            raise ChannelLimitExceeded(f"the broker allows {self._channel_max} channels on a connection: close some")
        self._stations[number] = station
        return number

    def free(self, number: int) -> None:
        self._stations.pop(number, None)
        self._calls.pop(number, None)
        self._parser.forget(number)

    def close(self) -> None:
        """Say goodbye, so that the broker has done all that it was sent; raises where that is not known."""
        with self.lock:
            try:
                if self.wire.lost is None:
                    self.before_asking()
                    self._closing = True
                    question = Question(spec.Connection.Close, "BsBB", (200, "", 0, 0), spec.Connection.CloseOk)
                    self.ask(0, monotonic() + _GOODBYE, [question])
            finally:
                self.wire.close()

    def on_method(self, number: int, signature: Signature, arguments: bytes) -> None:
        calls = self._calls.get(number)
        if calls and (calls[0].expected == signature or signature == spec.Basic.GetEmpty):
            self._answer(calls.popleft(), signature, arguments)
        elif number == 0:
            self._on_connection_method(signature, arguments)
        elif signature == spec.Channel.Close:
            self._on_channel_closed(number, arguments)
        elif signature == spec.Channel.Flow:
            self._say(method(number, spec.Channel.FlowOk, arguments))
        elif number in self._stations:
            self._stations[number].on_method(signature, arguments)

    def on_content(self, number: int, signature: Signature, arguments: bytes, properties: bytes, body: bytes) -> None:
        if signature == spec.Basic.GetOk:
            calls = self._calls.get(number)
            if calls and number in self._stations:
                self._stations[number].on_content(signature, arguments, properties, body)
                self._answer(calls.popleft(), signature, arguments)
        elif number in self._stations:
            self._stations[number].on_content(signature, arguments, properties, body)

    def _feed(self, data: bytes) -> None:
        self._parser.feed(data)

    def _answer(self, call: Call, signature: Signature, arguments: bytes) -> None:
        call.answer = signature, arguments
        if call.on_answer is not None:
            call.on_answer()

    def _on_connection_method(self, signature: Signature, arguments: bytes) -> None:
        if signature == spec.Connection.Close:
            (code, text, _, _), _ = loads("BsBB", arguments, 0)
            self._say(method(0, spec.Connection.CloseOk))
            self.wire.lose(connection_error(code, text))
        elif signature == spec.Connection.Blocked:
            (self.blocked,), _ = loads("s", arguments, 0)
            logger.warning("the broker has blocked publishers: %s", self.blocked)
        elif signature == spec.Connection.Unblocked:
            self.blocked = None
            logger.info("the broker takes messages again")

    def _on_channel_closed(self, number: int, arguments: bytes) -> None:
        """The first question that waits is the one that was refused; the others have to be asked again."""
        (code, text, _, _), _ = loads("BsBB", arguments, 0)
        error = channel_error(code, text)
        calls, station = self._calls.pop(number, deque()), self._stations.get(number)
        for place, call in enumerate(calls):
            call.error = error if not place else Dropped()
        self.free(number)
        self._say(method(number, spec.Channel.CloseOk))
        if station is not None:
            station.number = 0
            station.on_closed(error if not calls else channel_error(code, text))

    def _say(self, frame: bytes) -> None:
        if self.wire.lost is None and not self._closing:
            self.wire.send(frame, monotonic() + _GOODBYE)

    def _lost(self, error: ConnectionError) -> None:
        for station in list(self._stations.values()):
            station.on_lost(error)


def _arguments(question: Question) -> bytes:
    if not question.form:
        return b""
    made: Any = dumps(question.form, question.arguments)
    return bytes(made)


def _answered(call: Call) -> tuple[Signature, bytes]:
    if call.error is not None:
        if isinstance(call.error, ChannelError):
            raise type(call.error)(*call.error.args)
        raise call.error
    assert call.answer is not None  # noqa: S101
    return call.answer


def deadline_in(seconds: float | None, otherwise: float) -> float:
    """The moment, by the monotonic clock."""
    return monotonic() + (otherwise if seconds is None else seconds)


def weakly(method: Callable[P, object]) -> Callable[P, None]:
    """Calls it as long as its object is there, which this does not hold: a thread of ours keeps nothing alive."""
    found = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        bound = found()
        if bound is not None:
            bound(*args, **kwargs)

    return call
