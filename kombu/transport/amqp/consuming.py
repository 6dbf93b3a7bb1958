"""What one channel consumes: its consumers, what they hold, and how that is settled."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from amqp import spec
from amqp.serialization import loads

from kombu.exceptions import ChannelError, ConnectionError, LeaseLost, NotFound, PreconditionFailed
from kombu.message import State
from kombu.transport.amqp.asking import Asking
from kombu.transport.amqp.frames import Signature, acks, rejects
from kombu.transport.amqp.link import Link, Question, Station, deadline_in
from kombu.transport.amqp.received import Received, Subscription
from kombu.transport.native.checks import wire_name
from kombu.transport.native.tables import short_string
from kombu.transport.native.unsettled import Unsettled

if TYPE_CHECKING:
    from kombu.transport.amqp.channel import Channel

__all__ = ["Consuming", "Ended", "Ready"]

logger = logging.getLogger(__name__)

_DELIVERY = Struct(">QB")
_GOODBYE = 5.0
"""Seconds for a few bytes."""

_MOST_OWED = 100
"""Acknowledgements that are owed at most where a consumer may hold any number."""


class Ended(NamedTuple):
    """A consumer that the broker has ended."""

    subscription: Subscription


class Ready:
    """What a connection has received and not handed on. All methods are called with the lock of the link held.

    ``owed_since`` is the moment of the first acknowledgement that is owed, 0 for none.
    """

    def __init__(self) -> None:
        self.entries: deque[Received | Ended] = deque()
        self.to_revive: set[Consuming] = set()
        """Those whose channel the broker has closed, consumers and all."""
        self.owed_since = 0.0
        self.idle = False
        """Whether a thread waits for messages: what others settle meanwhile brings it some."""
        self.on_owed: Callable[[], object] = lambda: None

    def take(self, patience: float) -> Received | Ended | None:
        """The next one; what a channel gets while it is stopped is put aside for it. ``patience``: seconds to settle it
        in, where it needs no acknowledgement."""
        while self.entries:
            entry = self.entries.popleft()
            if type(entry) is Ended:
                return entry
            assert type(entry) is Received  # noqa: S101
            assert entry.subscription is not None  # noqa: S101
            consuming = entry.subscription.consuming
            if not consuming.paused:
                if entry.no_ack:
                    consuming.ack(int(entry.delivery_tag or 0), deadline_in(None, patience))
                return entry
            consuming.parked.append(entry)
        return None

    def take_out(self, unwanted: Callable[[Received], bool]) -> list[Received]:
        """Those messages, which nobody will be handed."""
        out = [each for each in self.entries if isinstance(each, Received) and unwanted(each)]
        if out:
            gone = set(map(id, out))
            kept = [each for each in self.entries if id(each) not in gone]
            self.entries.clear()
            self.entries.extend(kept)
        return out


class Consuming(Station):
    """All methods are called with the lock of the link held.

    Delivery tags that users see go on rising where the broker's begin anew with the channel; ``_base`` is between them.
    """

    def __init__(self, link: Link, asking: Asking, ready: Ready, channel: Channel, prefetch: int, delay: float) -> None:
        super().__init__(link)
        self.prefetch = prefetch
        self.together = 0
        self.subscriptions: dict[str, Subscription] = {}
        self.paused = False
        self.parked: list[Received] = []
        self.unsettled = Unsettled()
        self._asking = asking
        self._ready = ready
        self._channel = channel
        self._settle_delay = delay
        self._by_tag: dict[bytes, Subscription] = {}
        self._got: deque[Received] = deque()
        self._base = 0
        self._last = 0
        self._most_owed = 1

    def consume(self, subscription: Subscription, deadline: float) -> None:
        """A queue that does not exist is looked for elsewhere, since asking here would close the channel."""
        if subscription.tag in self.subscriptions:
            raise ChannelError(f"consumer tag {subscription.tag!r} is in use on this channel")
        tag = short_string(subscription.tag, "a consumer tag")[1:]
        self._asking.declare_queue(subscription.queue, True, False, False, False, None, deadline)
        self.subscriptions[subscription.tag] = self._by_tag[tag] = subscription
        try:
            self.ask(deadline, *self._consume(subscription))
        except BaseException:
            self._forget(subscription.tag)
            raise

    def cancel(self, tag: str, deadline: float) -> None:
        """What it was sent and its callback was not given goes back."""
        subscription = self.subscriptions.get(tag)
        if subscription is None:
            return
        if self.number:
            self.ask(deadline, Question(spec.Basic.Cancel, "sb", (tag, False), spec.Basic.CancelOk))
        self._forget(tag)
        ahead = self._ready.take_out(lambda each: each.subscription is subscription)
        ahead += [each for each in self.parked if each.subscription is subscription]
        self.parked = [each for each in self.parked if each.subscription is not subscription]
        self._give_back(ahead, deadline)

    def get(self, queue: str, no_ack: bool, deadline: float) -> Received | None:
        if self.subscriptions or self.unsettled.held:
            self._asking.declare_queue(queue, True, False, False, False, None, deadline)
        values = (0, wire_name(queue), no_ack)
        (answer,) = self.ask(deadline, Question(spec.Basic.Get, "Bsb", values, spec.Basic.GetOk))
        if len(answer) < _DELIVERY.size:
            return None
        message = self._got.popleft()
        message.queue, message.no_ack = queue, no_ack
        if no_ack:
            self.unsettled.held.pop(self._wire_tag(message), None)
        return message

    def qos(self, count: int, together: bool, deadline: float) -> None:
        """Per consumer it is told with each one that begins."""
        if not together:
            self.prefetch = count
            return
        self.together = count
        if self.number:
            self.ask(deadline, _qos(count, True))
        self._most_owed = self._bound()

    def ack(self, tag: int, deadline: float) -> None:
        if self.link.wire.lost is not None:
            self.link.wire.check()
        unsettled = self.unsettled
        if not unsettled.ack(tag - self._base):
            raise self._unknown(tag)
        if len(unsettled.owed) >= self._most_owed or self._ready.idle:
            self.flush(deadline)
        elif not self._ready.owed_since:
            self._ready.owed_since = monotonic()
            self._ready.on_owed()

    def ack_up_to(self, tag: int, deadline: float) -> None:
        """All that was delivered before, too."""
        message = self.held(tag)
        for each in self.unsettled.up_to(self._wire_tag(message)):
            self._set_state(each, "acknowledged")
            self.unsettled.ack(each)
        self.flush(deadline)

    def reject(self, tag: int, requeue: bool, deadline: float) -> None:
        message = self.held(tag)
        self.flush(deadline)
        self.unsettled.held.pop(self._wire_tag(message))
        message.state = "requeued" if requeue else "rejected"
        self.link.wire.send(rejects(self.number, [self._wire_tag(message)], requeue), deadline)

    def held(self, tag: int) -> Received:
        """The message, unsettled."""
        self.link.wire.check()
        message = self.unsettled.held.get(tag - self._base)
        if not isinstance(message, Received):
            raise self._unknown(tag)
        return message

    def recover(self, deadline: float) -> None:
        if self.number and self.unsettled.held:
            question = Question(spec.Basic.Recover, "b", (True,), spec.Basic.RecoverOk)
            self.ask(deadline, question, on_answer=self._all_back)

    def flush(self, deadline: float) -> None:
        """Send the acknowledgements that are owed."""
        due = self.unsettled.due()
        if due is not None and self.number:
            self.link.wire.send(acks(self.number, *due), deadline)

    def revive(self, deadline: float) -> None:
        """Consume again what was consumed when the broker closed the channel. A queue that is gone ends a consumer."""
        for subscription in list(self.subscriptions.values()):
            if self._asking.has_queue(subscription.queue, deadline):
                try:
                    self.ask(deadline, *self._consume(subscription))
                    continue
                except NotFound:
                    logger.info("queue %r went while it was consumed again", subscription.queue)
            self._forget(subscription.tag)
            self._ready.entries.append(Ended(subscription))

    def shut(self, deadline: float) -> None:
        """Close: everything that is not settled goes back."""
        self.flush(deadline)
        self.subscriptions.clear()
        self._by_tag.clear()
        self._ready.to_revive.discard(self)
        try:
            self.close(deadline)
        finally:
            self._all_back()

    def opened(self, number: int, deadline: float) -> None:
        if self.together:
            self.link.ask(number, deadline, [_qos(self.together, True)])
        self._most_owed = self._bound()

    def on_content(self, signature: Signature, arguments: bytes, properties: bytes, body: bytes) -> None:
        if signature != spec.Basic.Deliver:
            self._got_one(arguments, properties, body)
            return
        place = 1 + arguments[0]
        subscription = self._by_tag.get(arguments[1:place])
        tag, redelivered = _DELIVERY.unpack_from(arguments, place)
        self._last = tag
        if subscription is None:  # nobody's any more
            self.link.wire.send(rejects(self.number, [tag], True), deadline_in(None, _GOODBYE))
            return
        message = Received(
            self._channel,
            subscription,
            self._base + tag,
            subscription.queue,
            subscription.no_ack,
            redelivered != 0,
            arguments[place + 9 :],
            properties,
            body,
        )
        self.unsettled.held[tag] = message
        self._ready.entries.append(message)

    def on_method(self, signature: Signature, arguments: bytes) -> None:
        if signature == spec.Basic.Cancel:
            (tag,), _ = loads("s", arguments, 0)
            subscription = self._forget(tag)
            if subscription is not None:
                self._ready.entries.append(Ended(subscription))

    def on_closed(self, error: ChannelError) -> None:
        if self.unsettled.held or self.subscriptions:
            logger.warning("the broker closed a channel, what it held comes again: %s", error)
        self._all_back()
        if self.subscriptions:
            self._ready.to_revive.add(self)

    def on_lost(self, error: ConnectionError) -> None:
        self.number = 0
        self._all_back()

    def _consume(self, subscription: Subscription) -> list[Question]:
        self._most_owed = self._bound()
        values = (
            0,
            wire_name(subscription.queue),
            subscription.tag,
            False,
            False,  # without acknowledgement the broker would send any number ahead, and forget them
            False,
            False,
            dict(subscription.arguments),
        )
        consume = Question(spec.Basic.Consume, "BssbbbbF", values, spec.Basic.ConsumeOk)
        limits = [_qos(subscription.prefetch, False)]
        if self.together:  # RabbitMQ has just forgotten it
            limits.append(_qos(self.together, True))
        return [*limits, consume]

    def _got_one(self, arguments: bytes, properties: bytes, body: bytes) -> None:
        tag, redelivered = _DELIVERY.unpack_from(arguments)
        self._last = tag
        way = arguments[_DELIVERY.size :]
        message = Received(self._channel, None, self._base + tag, "", False, redelivered != 0, way, properties, body)
        self.unsettled.held[tag] = message
        self._got.append(message)

    def _bound(self) -> int:
        """How many acknowledgements may be owed: half of what may be held, so that there is always something to do.

        With one at a time there is nothing to do anyway, and who drains sends it before waiting.
        """
        if not self._settle_delay:
            return 1
        windows = [each.prefetch for each in self.subscriptions.values()] + [self.together]
        least = min((each for each in windows if each), default=2 * _MOST_OWED)
        return 2 if least == 1 else min(least // 2, _MOST_OWED)

    def _forget(self, tag: str) -> Subscription | None:
        self._by_tag.pop(tag.encode(), None)
        return self.subscriptions.pop(tag, None)

    def _give_back(self, messages: Iterable[Received], deadline: float) -> None:
        tags = [tag for tag in map(self._wire_tag, messages) if self.unsettled.held.pop(tag, None) is not None]
        if tags and self.number:
            self.link.wire.send(rejects(self.number, tags, True), deadline)

    def _all_back(self) -> None:
        """The broker has put back what was held: nobody may settle it, and what was fetched ahead will come again."""
        self.unsettled.clear()
        self._ready.take_out(lambda each: each.channel is self._channel)
        self.parked = []
        if not self.number:
            self._base, self._last = self._base + self._last, 0

    def _set_state(self, tag: int, state: State) -> None:
        message = self.unsettled.held.get(tag)
        if isinstance(message, Received):
            message.state = state

    def _unknown(self, tag: int) -> ChannelError:
        if tag <= self._base:
            return LeaseLost(f"message {tag} is another consumer's by now: the broker closed the channel it came on")
        return PreconditionFailed(f"unknown delivery tag {tag}: settled before, or of another channel or connection")

    def _wire_tag(self, message: Received) -> int:
        return int(message.delivery_tag or 0) - self._base


def _qos(count: int, together: bool) -> Question:
    return Question(spec.Basic.Qos, "lBb", (0, count, together), spec.Basic.QosOk)
