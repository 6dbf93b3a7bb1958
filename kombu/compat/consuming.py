"""carrot's Consumer and ConsumerSet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kombu import messaging
from kombu.common import entry_to_queue
from kombu.compat.parts import Callback, Called, exchange_of, set_given
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message
from kombu.transport.base import Channel

__all__ = ["Consumer", "ConsumerSet"]


class Receiver(Called):
    """What consumers and sets of them have in common: one channel, callbacks, and a loop that waits for messages."""

    no_ack: bool = False
    auto_ack: bool = False

    def __init__(
        self, connection: Connection, callbacks: Iterable[Callback] | None, accept: Iterable[str] | None
    ) -> None:
        super().__init__(callbacks)
        self.connection = connection
        self.channel = connection.channel()
        self._accept = None if accept is None else list(accept)
        self._received: deque[Message] = deque(maxlen=1)
        self._consumer = self._new_consumer(())

    def consume(self, no_ack: bool | None = None) -> None:
        """Begin to consume; messages come while the connection is drained, as :meth:`iterconsume` does."""
        self._consumer.consume(self.no_ack if no_ack is None else no_ack)

    def iterconsume(self, limit: int | None = None, no_ack: bool | None = None) -> Iterator[Message]:
        """Wait for a message in each step, have it received, and yield it; ``limit`` is how many, None without end."""
        self.consume(no_ack)
        steps = 0
        try:
            while limit is None or steps < limit:
                self._received.clear()
                while not self._received:
                    self.connection.drain_events()
                steps += 1
                yield self._received.pop()
        finally:
            if self.channel.is_open:
                self.cancel()

    def wait(self, limit: int | None = None) -> None:
        """Receive ``limit`` messages, None without end."""
        for _ in self.iterconsume(limit):
            pass

    def qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many messages it may hold that are not settled."""
        self._consumer.qos(prefetch_size, prefetch_count, apply_global)

    def flow(self, active: bool) -> None:
        """Stop receiving, or go on."""
        self.channel.flow(active)

    def recover(self, requeue: bool = True) -> None:
        """Put everything back that was received and is not settled."""
        self._consumer.recover(requeue)

    def cancel(self) -> None:
        """Stop consuming; :meth:`consume` begins anew."""
        self._consumer.cancel()

    def revive(self, channel: Channel) -> None:
        """Go on with another channel, on which everything is declared anew; not consuming yet."""
        self.channel = channel
        self._consumer = self._new_consumer(self._consumer.queues)

    def close(self) -> None:
        """Close the channel: what was received and is not settled goes back."""
        if self.channel.is_open:
            self.cancel()
            self.channel.close()

    def _new_consumer(self, queues: Iterable[Queue]) -> messaging.Consumer:
        return messaging.Consumer(self.channel, queues, callbacks=[self._hand_over], accept=self._accept)

    def _hand_over(self, message_data: Any, message: Message) -> None:
        self._received.append(message)
        if self.auto_ack:
            message.ack()
        self.receive(message_data, message)


class Consumer(Receiver):
    """Receives messages from one queue, which it declares and binds to an exchange.

    Each argument that is left out is taken from the attribute of the same name, which a subclass may set.
    ``auto_ack``: every message is acknowledged before it is received. ``accept`` lists the serializers or content
    types that may be decoded.
    """

    queue: str = ""
    exchange: str = ""
    routing_key: str = ""
    exchange_type: str = "direct"
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    auto_declare: bool = True
    queue_arguments: Mapping[str, object] | None = None
    accept: Iterable[str] | None = None

    def __init__(
        self,
        connection: Connection,
        queue: str | None = None,
        exchange: str | None = None,
        routing_key: str | None = None,
        exchange_type: str | None = None,
        durable: bool | None = None,
        exclusive: bool | None = None,
        auto_delete: bool | None = None,
        callbacks: Iterable[Callback] | None = None,
        no_ack: bool | None = None,
        auto_ack: bool | None = None,
        auto_declare: bool | None = None,
        queue_arguments: Mapping[str, object] | None = None,
        accept: Iterable[str] | None = None,
    ) -> None:
        set_given(
            self,
            queue=queue,
            exchange=exchange,
            routing_key=routing_key,
            exchange_type=exchange_type,
            durable=durable,
            exclusive=exclusive,
            auto_delete=auto_delete,
            no_ack=no_ack,
            auto_ack=auto_ack,
            auto_declare=auto_declare,
            queue_arguments=queue_arguments,
            accept=accept,
        )
        super().__init__(connection, callbacks, self.accept)
        self.entity = self._consumer.add_queue(self._entity())
        self.queue = self.entity.name

    def fetch(
        self, no_ack: bool | None = None, auto_ack: bool | None = None, enable_callbacks: bool = False
    ) -> Message | None:
        """The next message, or None when none waits; ``enable_callbacks``: have it received before it is returned."""
        message = self.entity.get(no_ack=self.no_ack if no_ack is None else no_ack, accept=self._consumer.accept)
        if message is None:
            return None
        if self.auto_ack if auto_ack is None else auto_ack:
            message.ack()
        if enable_callbacks:
            self.receive(message.payload, message)
        return message

    def process_next(self) -> Message | None:
        """Have the next message received, if one waits, and return it."""
        return self.fetch(enable_callbacks=True)

    def iterqueue(self, limit: int | None = None, infinite: bool = False) -> Iterator[Message | None]:
        """Fetch a message in each step, ``limit`` at most, until none waits; ``infinite``: yields None then."""
        steps = 0
        while limit is None or steps < limit:
            message = self.fetch()
            if message is None and not infinite:
                return
            steps += message is not None
            yield message

    def __iter__(self) -> Iterator[Message | None]:
        return self.iterqueue(infinite=True)

    def discard_all(self, filterfunc: Callable[[Message], object] | None = None) -> int:
        """Remove what waits in the queue, or only the messages that ``filterfunc`` is true for; answers how many.

        With ``filterfunc`` all that waits is held meanwhile, and what is left goes back.
        """
        if filterfunc is None:
            return self.entity.purge()
        removed, left = 0, []
        try:
            while (message := self.fetch(no_ack=False, auto_ack=False)) is not None:
                left.append(message)
                if filterfunc(message):
                    left.pop().ack()
                    removed += 1
        finally:
            for message in left:
                message.requeue()
        return removed

    def revive(self, channel: Channel) -> None:
        super().revive(channel)
        self.entity = self._consumer.queues[0]

    def _entity(self) -> Queue:
        return Queue(
            self.queue,
            exchange_of(self) if self.exchange else None,
            self.routing_key,
            durable=self.durable,
            exclusive=self.exclusive,
            auto_delete=self.auto_delete,
            queue_arguments=self.queue_arguments,
            no_declare=not self.auto_declare,
        )


class ConsumerSet(Receiver):
    """Receives messages from several queues on one channel.

    ``from_dict`` has the options of each queue by its name (see :meth:`kombu.Queue.from_dict`); ``consumers`` lend
    their queues. Messages go to the callbacks of the set; without any, to the consumer that lent the queue.
    """

    def __init__(
        self,
        connection: Connection,
        from_dict: Mapping[str, Mapping[str, Any]] | None = None,
        consumers: Iterable[Consumer] | None = None,
        callbacks: Iterable[Callback] | None = None,
        no_ack: bool | None = None,
        auto_ack: bool | None = None,
        accept: Iterable[str] | None = None,
    ) -> None:
        set_given(self, no_ack=no_ack, auto_ack=auto_ack)
        super().__init__(connection, callbacks, accept)
        self._lenders: dict[str, Consumer] = {}
        for consumer in consumers or ():
            self.add_consumer(consumer)
        for queue, options in (from_dict or {}).items():
            self.add_consumer_from_dict(queue, **options)

    @property
    def queues(self) -> list[Queue]:
        """The queues it receives from."""
        return self._consumer.queues

    def add_consumer_from_dict(self, queue: str, **options: Any) -> Queue:
        """Add a queue by its name and options; :meth:`consume` begins to consume from it."""
        return self._consumer.add_queue(entry_to_queue(queue, **options))

    def add_consumer(self, consumer: Consumer) -> Queue:
        """Add the queue of a consumer, which should not consume from it any more itself."""
        self._lenders[consumer.queue] = consumer
        return self._consumer.add_queue(consumer.entity)

    def receive(self, message_data: Any, message: Message) -> None:
        lender = self._lenders.get(message.delivery_info.get("queue", ""))
        if lender is not None and not self.callbacks:
            lender.receive(message_data, message)
        else:
            super().receive(message_data, message)

    def discard_all(self) -> int:
        """Remove what waits in all its queues; answers how many messages those were."""
        return self._consumer.purge()
