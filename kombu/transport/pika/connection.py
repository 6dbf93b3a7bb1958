"""One open connection to a broker over pika: its event loop, its lines, and what waits to be drained.

Whatever touches pika happens in the event loop, so heartbeats go out, confirms and deliveries come in, whatever the
program's threads are busy with. They ask, and wait for the answer until a deadline.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Event, Lock
from typing import Any

from kombu.exceptions import ConnectionError, KombuError, NotFound, OperationalError
from kombu.transport.asynchronous import EventLoop, WouldWait
from kombu.transport.base import Address, QueueStatistics
from kombu.transport.native.options import Options
from kombu.transport.native.statistics import Statistician
from kombu.transport.pika.channel import Channel
from kombu.transport.pika.consuming import Arrival
from kombu.transport.pika.dialing import again, lost, parameters_of, place_of, refusal, start
from kombu.transport.pika.homes import Answer, Home, OwnHome
from kombu.transport.pika.line import Ask, Line, Reply
from kombu.transport.pika.outgoing import Outgoing
from kombu.transport.pika.wire import Services, Wire

__all__ = ["PikaConnection"]

_CLOSING = 5.0
"""Seconds for a goodbye in good order."""


class PikaConnection:
    """``event_loop`` is where the I/O is done and messages are handed over; None: in a thread of its own, and they wait
    for :meth:`drain_events`."""

    _wire: Wire
    _services: Services
    _asking: Line
    outgoing: Outgoing

    def __init__(self, address: Address, options: Options, event_loop: EventLoop | None, transport: str) -> None:
        self.options = options
        self.transport = transport
        self.place = place_of(address)
        self._address = address
        self._statistician = Statistician(address, options, transport)
        self._parameters = parameters_of(address, options)
        self._pushes = event_loop is not None
        self.home: Home = OwnHome() if event_loop is None else Home(*event_loop)
        self._connected = False
        self._given_up = False
        self._why: KombuError = ConnectionError("this connection is closed")
        self._channels: list[Channel] = []
        self._arrived: deque[Arrival] = deque()
        self._stirred = Event()
        self._interrupted = False
        self._silences = 0
        self._process = os.getpid()
        self._farewell: Callable[[], object] | None = None
        self._lock = Lock()

    def open(self) -> None:
        """Raises what :meth:`~kombu.transport.base.Transport.establish_connection` raises."""
        answer = Answer[None]()
        try:
            if self.home.here:
                raise WouldWait("connecting waits for the broker: not in its own event loop")
            self.home.soon(partial(self._dial, answer))
            if not answer.wait(self._address.connect_timeout + 1):
                self.home.soon(self._give_up_dialing)
                raise OperationalError(f"{self.place}: no answer in {self._address.connect_timeout:g} s")
            answer.take()
        except BaseException:
            self.home.end()
            if self.home.gone and hasattr(self, "_services"):
                self._services.drop()
            raise

    @property
    def connected(self) -> bool:
        return self._connected and not self.home.gone and self._process == os.getpid()

    @property
    def consuming(self) -> bool:
        return any(channel.consumers for channel in self._channels)

    def channel(self) -> Channel:
        self.check()
        channel = Channel(self)
        self._channels.append(channel)
        return channel

    def forget_channel(self, channel: Channel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)

    def line(self, prepare: Any = None, on_lost: Callable[[KombuError], object] | None = None) -> Line:
        """One more AMQP channel, opened when it is first asked."""
        return Line(self._wire, prepare, on_lost)

    def check(self) -> None:
        """Raises where the connection is of no more use."""
        if not self.connected:
            raise again(self._why)

    def ask(self, ask: Ask, line: Line | None = None) -> Any:
        """From any thread but the event loop's: the broker's answer."""
        return self.wait(partial((line or self._asking).ask, ask))

    def ask_in_turn(self, asks: Iterable[Ask], then: Reply) -> None:
        """In the event loop: one after the other until one is refused."""
        left = iter(asks)

        def go_on(answer: Any, error: Exception | None) -> None:
            following = next(left, None) if error is None else None
            if following is None:
                then(answer, error)
            else:
                self._asking.ask(following, go_on)

        go_on(None, None)

    def wait(self, begin: Callable[[Reply], object], seconds: float | None = None) -> Any:
        """Begin it in the event loop and wait for the reply. A broker that gives none has lost the connection."""
        if self.home.here:
            raise WouldWait("this waits for the broker: not in its own event loop")
        self.check()
        answer = Answer[Any]()

        def reply(result: Any, error: Exception | None) -> None:
            if error is None:
                answer.give(result)
            else:
                answer.fail(error)

        self.soon(partial(_begun, begin, reply))
        limit = self.options.operation_timeout if seconds is None else seconds
        if not answer.wait(limit):
            why = ConnectionError(f"{self.place} did not answer within {limit:g} s")
            self.cut(why)
            raise why
        return answer.take()

    def soon(self, work: Callable[[], object]) -> None:
        """Have it done in the event loop; nobody waits for it."""
        self.home.soon(work)

    def drain_events(self, timeout: float | None = None) -> None:
        arrived = self._arrived
        if arrived and self._hand(arrived):
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._stirred.clear()
            if arrived:
                if self._hand(arrived):
                    return
                continue
            if self._interrupted:
                self._interrupted = False
                raise TimeoutError("interrupted")
            self.check()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"no message within {timeout} seconds")
            self.settle()
            self._stirred.wait(left)

    def interrupt(self) -> None:
        self._interrupted = True
        self._stirred.set()

    def heartbeat_check(self, rate: int = 2) -> None:
        """The event loop sends and looks for them by itself: this only tells what it saw."""
        self.check()

    def statistics(self, queues: Sequence[str] | None = None) -> dict[str, QueueStatistics]:
        return self._statistician.statistics(self, queues)

    def settle(self) -> None:
        """Send the acknowledgements that are owed."""
        for channel in self._channels:
            channel.settle()

    def close(self) -> None:
        """Write what is owed, and say goodbye; in the event loop itself without waiting for the answer.

        A forked child has nothing to close: it is the parent's.
        """
        if self._process != os.getpid():
            return
        with self._lock:
            was_open, self._connected = self._connected, False
        if was_open and not self.home.gone:
            self._say_goodbye()
        self.home.end()
        if self.home.gone:
            self._services.drop()

    def arrive(self, arrival: Arrival) -> None:
        """In the event loop: a delivery, or the end of a consumer."""
        if self._pushes and arrival.method is not None and arrival.consumer is not None:
            arrival.consumer.channel.hand(arrival)
            return
        self._arrived.append(arrival)
        if not self._stirred.is_set():
            self._stirred.set()

    def take_back(self, wanted: Callable[[Arrival], bool]) -> list[Arrival]:
        """What has arrived and was not handed over, of those that are wanted. In the event loop."""
        found = [each for each in list(self._arrived) if wanted(each)]
        taken = []
        for each in found:
            try:
                self._arrived.remove(each)
            except ValueError:
                continue  # somebody was given it meanwhile
            taken.append(each)
        return taken

    def cut(self, why: ConnectionError) -> None:
        """From any thread: it is of no more use, whatever the broker thinks."""
        self._connected, self._why = False, why
        if not self.home.gone:
            self.soon(self._services.cut)
        self._stirred.set()

    def _dial(self, answer: Answer[None]) -> None:
        def opened() -> None:
            self._asking = Line(self._wire)
            self.outgoing = Outgoing(self, self._wire, self._services)
            if self._given_up:
                self._services.cut()
                return
            self._connected = True
            self._watch(-1, time.monotonic())
            answer.give(None)

        def failed(error: BaseException) -> None:
            refused = refusal(error, self._address)
            refused.__cause__ = error
            answer.fail(refused)

        try:
            self._wire, self._services = start(self._parameters, self.home.loop, opened, failed, self._on_closed)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            failed(error)

    def _give_up_dialing(self) -> None:
        self._given_up = True
        if hasattr(self, "_services"):
            self._services.cut()

    def _watch(self, frames: int, looked: float) -> None:
        """The broker sends heartbeats: when nothing came for two intervals it is gone. pika takes some seconds longer.

        An event loop that stood still has heard nothing either.
        """
        if not self._connected:
            return
        pause, now, heard = float(self._wire.params.heartbeat), time.monotonic(), self._wire.frames_received
        if heard == frames and pause * 1.5 > now - looked:
            self._silences += 1
        else:
            self._silences = 0
        if self._silences >= 2:
            self.cut(ConnectionError(f"{self.place} has said nothing for {2 * pause:g} s, not even a heartbeat"))
        elif pause:
            self.home.loop.call_later(pause, self._watch, heard, now)

    def _on_closed(self, error: BaseException) -> None:
        """The last that is heard of it."""
        if self._connected:
            self._why = lost(error)
            self._why.__cause__ = error
        self._connected = False
        why = self._why
        self._asking.end(why)
        self.outgoing.end(why)
        for channel in list(self._channels):
            channel.end(why)
        self.take_back(lambda arrival: arrival.method is not None)
        self._stirred.set()
        if self._farewell is not None:
            self._farewell()

    def _say_goodbye(self) -> None:
        answer = Answer[None]()

        def goodbye() -> None:
            for channel in list(self._channels):
                channel.flush()
            self._farewell = partial(answer.give, None)
            if self._wire.is_open:
                self._wire.close()
            else:
                answer.give(None)

        self.soon(goodbye)
        if self.home.here:
            return
        if not answer.wait(min(_CLOSING, self.options.operation_timeout)):
            self.soon(self._services.cut)
            answer.wait(1)

    def _hand(self, arrived: deque[Arrival]) -> bool:
        """Hand over the first; False where another thread was faster."""
        try:
            arrival = arrived.popleft()
        except IndexError:
            return False
        consumer = arrival.consumer
        if consumer is None:
            return False
        if arrival.method is not None:
            consumer.channel.hand(arrival)
            return True
        if consumer.on_cancel is None:
            raise NotFound(f"deleted under its consumers, which have ended: queue {consumer.queue!r}")
        consumer.on_cancel(consumer.tag)
        return False


def _begun(begin: Callable[[Reply], object], reply: Reply) -> None:
    try:
        begin(reply)
    except Exception as error:  # noqa: BLE001 - raised where it is waited for
        reply(None, error)
