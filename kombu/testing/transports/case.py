"""What the promises about transports stand on: connections that get closed, names that are free, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import ChannelError, NotFound, NotSupported
from kombu.message import Message
from kombu.testing.case import in_threads
from kombu.testing.transports.features import Feature, Verdict
from kombu.testing.transports.victim import hold_and_be_killed

T = TypeVar("T")


class TransportCase:
    """A test of one transport, through what users hold in their hands; ``url`` is what the subclass has to say.

    ``transport`` is its name, as errors and the table have it. ``brief`` is how long short lives and delays last, in
    seconds; ``patience`` how long anything may take before it counts as failed; ``lease`` after how many seconds
    the messages of a dead process come back, for which ``dying`` are the transport options. ``victim_setup`` is a
    function, as ``"module:function"``, that another process calls first.
    """

    transport: str
    brief: float = 0.15
    patience: float = 10.0
    lease: float = 1.0
    victim_setup: str | None = None

    verdicts: ClassVar[dict[str, tuple[Feature, Verdict]]] = {}
    """What came of each promise so far; every subclass has its own."""

    _stack: ExitStack
    _prefix: str
    _queues: set[str]
    _exchanges: set[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.verdicts = {}

    @classmethod
    def record(cls, feature: Feature, promise: str, verdict: Verdict) -> None:
        cls.verdicts[promise] = feature, verdict

    def url(self) -> str:
        """Of the broker, the same for all connections of a test. It need not be empty: names are the test's own."""
        raise NotImplementedError

    @property
    def dying(self) -> Mapping[str, object]:
        """Transport options of a process that is going to die; none for a broker that sees it by itself."""
        return {"lease": self.lease}

    def hold_and_die(self, queue: str) -> None:
        """Take a message from ``queue`` in another process and let SIGKILL end it, the message unsettled.

        Override it for a transport that does not reach across processes.
        """
        hold_and_be_killed(self.url(), queue, self.dying, self.patience, self.victim_setup)

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Call all at the same moment, each in a thread of its own."""
        return in_threads(calls, self.patience)

    def setup_method(self) -> None:
        self._stack, self._queues, self._exchanges = ExitStack(), set(), set()
        self._prefix = uuid4().hex[:12]

    def teardown_method(self) -> None:
        """Close the connections; then remove what the test declared, as a broker that others use needs it."""
        self._stack.close()
        with Connection(self.url()) as connection:
            for name in self._queues:
                with suppress(ChannelError):
                    connection.channel().queue_delete(name)
            for name in self._exchanges:
                with suppress(ChannelError):
                    connection.channel().exchange_delete(name)

    @cached_property
    def connection(self) -> Connection:
        """The connection that declares and publishes."""
        return self.connect()

    @cached_property
    def other(self) -> Connection:
        """The one that consumes and looks, as another process would."""
        return self.connect()

    def connect(self, **options: object) -> Connection:
        """One more connection, closed when the test ends; ``options`` are the transport's."""
        return self._stack.enter_context(Connection(self.url(), transport_options=options))

    def named(self, name: str) -> str:
        """``name`` made this test's own."""
        return f"{self._prefix}.{name}"

    def queue(
        self,
        name: str = "orders",
        exchange: Exchange | None = None,
        key: str = "",
        connection: Connection | None = None,
        **options: Any,
    ) -> Queue:
        """A queue of this test's own, declared, and bound where an exchange is given."""
        queue = Queue(self.named(name), exchange, key, **options)
        self._queues.add(queue.name)
        queue.declare(channel=connection or self.connection)
        return queue

    def exchange(self, type: str = "direct", name: str = "shop", **options: Any) -> Exchange:
        """An exchange of this test's own, declared."""
        exchange = Exchange(self.named(name), type, **options)
        self._exchanges.add(exchange.name)
        exchange.declare(channel=self.connection)
        return exchange

    def publish(self, *bodies: object, to: Queue | Exchange, key: str = "", **options: Any) -> None:
        """One after the other, through the connection that does not consume."""
        producer = self.connection.Producer(auto_declare=False)
        exchange, key = (to, key) if isinstance(to, Exchange) else (Exchange(""), to.name)
        for body in bodies:
            producer.publish(body, exchange=exchange, routing_key=key, **options)

    def receive(self, queue: Queue, count: int = 1, connection: Connection | None = None) -> list[Message]:
        """As many messages, as a consumer is given them, within the test's patience; not settled."""
        received: list[Message] = []
        connection = connection or self.other
        with self.consuming(queue, received.append, connection, prefetch=count):
            self.drain(connection, lambda: len(received) >= count)
        return received

    def take(self, queue: Queue, count: int = 1, connection: Connection | None = None) -> list[Any]:
        """The payloads of as many messages, which are acknowledged."""
        received = self.receive(queue, count, connection)
        for message in received:
            message.ack()
        return [message.payload for message in received]

    @contextmanager
    def consuming(
        self,
        queues: Queue | Iterable[Queue],
        handle: Callable[[Message], object],
        connection: Connection | None = None,
        prefetch: int = 0,
        no_ack: bool = False,
    ) -> Iterator[None]:
        """A consumer on a channel of its own; :meth:`drain` its connection."""
        channel = (connection or self.other).channel()
        if prefetch:
            channel.basic_qos(prefetch_count=prefetch)
        wanted = [queues] if isinstance(queues, Queue) else queues
        tags = [queue(channel).consume(callback=handle, no_ack=no_ack) for queue in wanted]
        yield
        for tag in tags:
            channel.basic_cancel(tag)

    def drain(self, connection: Connection, until: Callable[[], bool]) -> None:
        """Drain until it is so."""
        deadline = time.monotonic() + self.patience
        while not until():
            left = deadline - time.monotonic()
            assert left > 0, f"what was expected did not come within {self.patience} s"
            with suppress(TimeoutError):
                connection.drain_events(timeout=left)

    def drain_all(self, *connections: Connection) -> None:
        """Drain each until nothing comes for a while."""
        deadline = time.monotonic() + self.patience
        for connection in connections:
            with suppress(TimeoutError):
                while True:
                    connection.drain_events(timeout=self.brief)
                    assert time.monotonic() < deadline, f"drain_events still gives something after {self.patience} s"

    def eventually(self, look: Callable[[], T | None]) -> T:
        """What ``look`` answers once it is something."""
        deadline = time.monotonic() + self.patience
        while not (found := look()):
            assert time.monotonic() < deadline, f"nothing came of it in {self.patience} s"
            self.let_pass(self.brief / 5)
        return found

    def let_pass(self, seconds: float) -> None:
        """Let time pass, draining a connection without consumers, which also keeps house."""
        with suppress(TimeoutError):
            self._idle.drain_events(timeout=seconds)

    def is_empty(self, queue: Queue) -> bool:
        """Whether a new connection finds nothing in it."""
        with Connection(self.url()) as connection:
            return queue(connection).get() is None

    def exists(self, queue: Queue) -> bool:
        """Whether another connection finds it."""
        try:
            queue(self.other.channel()).queue_declare(passive=True)
        except NotFound:
            return False
        return True

    @cached_property
    def _idle(self) -> Connection:
        connection = self.connect()
        connection.connect()  # which on a busy machine may take longer than what is to pass
        return connection


@contextmanager
def refused(*expected: type[Exception], naming: str = "") -> Iterator[None]:
    """Fail unless the block raises one of these, and the error says ``naming``; a ``NotSupported`` goes through."""
    names = " or ".join(error.__name__ for error in expected)
    raised: Exception | None = None
    try:
        yield
    except Exception as error:
        if isinstance(error, NotSupported) and NotSupported not in expected:
            raise
        raised = error
    if not isinstance(raised, expected):
        raise AssertionError(f"{raised!r} was raised, not {names}" if raised else f"{names} was not raised") from raised
    assert naming in str(raised), f"{raised!r} does not name {naming!r}"
