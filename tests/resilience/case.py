"""What the promises stand on: a private server, names that are free, workers in threads, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

from kombu import Connection, Queue
from kombu.exceptions import KombuError
from kombu.transport.virtual import VirtualConnection
from tests.background import LONG, eventually, running
from tests.instances import End, Instance, instance
from tests.proxy import Proxy
from tests.resilience.ledger import Ledger
from tests.resilience.workers import AT_ONCE, WAYS, Handle, Mixed, Publisher, Worker

SOME = 10
"""Messages before and after."""
A_MOMENT = 0.5
"""Seconds."""


class ResilienceCase:
    """See :mod:`tests.resilience` for what a subclass says."""

    server: ClassVar[str]
    ends: ClassVar[tuple[End, ...]] = ("fast", "kill")
    doubles: ClassVar[bool] = False
    counts: ClassVar[bool] = True
    forgets: ClassVar[bool] = False
    lease: ClassVar[float] = 3.0
    silence: ClassVar[float] = 1.0
    patience: ClassVar[float] = LONG
    """Seconds in which whatever was promised has happened."""
    victim_setup: ClassVar[str | None] = None

    own: ClassVar[Instance]
    _class_stack: ClassVar[ExitStack]

    def url(self, port: int) -> str:
        raise NotImplementedError

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease}

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of all connections; what the URL says counts more."""
        return {"transport_options": self.options, "connect_timeout": self.silence}

    @classmethod
    def prepare(cls, port: int) -> None:
        """Once, when the server runs for the first time."""

    @classmethod
    def setup_class(cls) -> None:
        cls._class_stack = ExitStack()
        with ExitStack() as stack:
            cls.own = stack.enter_context(instance(cls.server))
            cls.prepare(cls.own.port)
            cls._class_stack = stack.pop_all()

    @classmethod
    def teardown_class(cls) -> None:
        cls._class_stack.close()

    def setup_method(self) -> None:
        if not self.own.runs:
            self.own.start()
        self.stack = ExitStack()
        self.ledger = Ledger()
        self._proxies = ExitStack()
        self._urls: dict[int, str] = {}
        self._queues: list[str] = []
        self._connection: Connection | None = None
        self._used = 0.0

    def teardown_method(self) -> None:
        self._proxies.close()  # what their clients held on the server might be in the way
        with self.stack:
            connection = self.connection()
            for name in self._queues:
                Queue(name)(connection).delete()
            connection.release()

    def url_of(self, port: int) -> str:
        """One for each port."""
        if port not in self._urls:
            self._urls[port] = self.url(port)
        return self._urls[port]

    @property
    def direct(self) -> str:
        """The URL past all proxies."""
        return self.url_of(self.own.port)

    @property
    def victim_url(self) -> str:
        """The same for another process."""
        return self.direct

    def proxy(self) -> Proxy:
        """One more, until the test ends."""
        return self._proxies.enter_context(Proxy(self.own.port))

    def through(self, proxy: Proxy) -> str:
        """The URL of that way."""
        return self.url_of(proxy.port)

    def connection(self) -> Connection:
        """Past all proxies, for a moment: it would not live long without being looked after."""
        if self._connection is None or time.monotonic() - self._used > A_MOMENT:
            if self._connection is not None:
                self._connection.collect()
            self._connection = Connection(self.direct, **self.settings)
            self.stack.callback(self._connection.collect)
        self._used = time.monotonic()
        return self._connection

    def queue(self, name: str = "orders") -> str:
        """The name of a queue of this test's own, declared."""
        name = f"{name}.{uuid4().hex[:12]}"
        Queue(name)(self.connection()).declare()
        self._queues.append(name)
        return name

    def publish(self, queue: str, *bodies: str) -> None:
        """Past all proxies; confirmed when it returns."""
        producer = self.connection().Producer()
        for body in bodies:
            producer.publish(body, routing_key=queue, retry=True, retry_policy=AT_ONCE)
            self.ledger.confirmed.add(body)

    def some(self, count: int = 1) -> list[str]:
        """New bodies."""
        return [f"{next(Publisher.numbers)}" for _ in range(count)]

    @contextmanager
    def consuming(
        self, url: str, queue: str, handle: Handle = lambda _: None, way: type[Worker] = Mixed
    ) -> Iterator[Worker]:
        """A worker, which waits for messages when the block begins."""
        worker = way(url, self.settings, queue, self.ledger, handle)
        with running(worker.run, worker.stop, self.ledger.errors, self.patience):
            self.eventually(worker.idle.is_set)
            yield worker

    @contextmanager
    def idling(self, url: str) -> Iterator[dict[str, Worker]]:
        """A worker of every kind, each with a queue of its own; each has consumed, and waits for more."""
        workers = {queue: way(url, self.settings, queue, self.ledger) for way in WAYS if (queue := self.queue())}
        with ExitStack() as stack:
            for worker in workers.values():
                stack.enter_context(running(worker.run, worker.stop, self.ledger.errors, self.patience))
            stack.callback(lambda: [worker.stop() for worker in workers.values()])
            self.everybody_gets_one(workers)
            self.all_idle(workers)
            yield workers

    def everybody_gets_one(self, workers: Iterable[str]) -> None:
        """New messages into these queues, and delivered."""
        bodies = {queue: self.some()[0] for queue in workers}
        for queue, body in bodies.items():
            self.publish(queue, body)
        self.delivered(*bodies.values())

    def all_idle(self, workers: Mapping[str, Worker]) -> None:
        self.eventually(lambda: all(worker.idle.is_set() for worker in workers.values()))

    @contextmanager
    def publishing(self, url: str, queue: str) -> Iterator[Publisher]:
        publisher = Publisher(url, self.settings, queue, self.ledger)
        with running(publisher.run, publisher.stop, self.ledger.errors, self.patience):
            yield publisher

    def ends_in_time(self, call: Callable[[], object]) -> Exception | None:
        """Answers the error it ends with, one of the library's or ``TimeoutError``."""
        return self.all_end_in_time({"it": call})["it"]

    def all_end_in_time(self, calls: Mapping[str, Callable[[], object]]) -> dict[str, Exception | None]:
        """The same of several at once, by their names."""
        ended: dict[str, Exception | None] = {}

        def run(name: str) -> None:
            try:
                calls[name]()
            except (KombuError, TimeoutError) as exc:
                ended[name] = exc
            else:
                ended[name] = None

        with ExitStack() as stack:
            for name in calls:
                stack.enter_context(running(partial(run, name), lambda: None, self.ledger.errors, A_MOMENT))
            with suppress(AssertionError):
                eventually(lambda: len(ended) == len(calls), self.ledger.errors, self.patience)
            assert ended.keys() == calls.keys(), (
                f"{self.patience} seconds were not enough: {calls.keys() - ended.keys()}"
            )
        return ended

    def eventually(self, look: Callable[[], object]) -> None:
        eventually(look, self.ledger.errors, self.patience)

    def delivered(self, *bodies: str) -> None:
        """Wait until they are."""
        self.eventually(lambda: set(bodies) <= set(self.ledger.delivered))

    def more_is_confirmed(self, count: int = SOME) -> None:
        """Wait until so many more than now are."""
        goal = len(self.ledger.confirmed) + count
        self.eventually(lambda: len(self.ledger.confirmed) >= goal)

    def check(self, how: End | None = None) -> None:
        """Nothing is lost, invented or stored twice, and nothing comes again after its acknowledgement was flushed.

        ``how`` the server was ended meanwhile.
        """
        ledger = self.ledger
        self.eventually(lambda: not ledger.lost)
        assert ledger.errors == []
        assert ledger.invented == set()
        assert ledger.after_flush == [] or (self.forgets and how == "kill")
        assert self.doubles or ledger.doubled == set()

    def becomes_empty(self, queue: str) -> None:
        """Wait until nothing is left in it, neither ready nor, where that can be known at once, held by anybody."""
        self.eventually(lambda: self.left_in(queue) == 0)

    def left_in(self, queue: str) -> int:
        connection = self.connection()
        if isinstance(connection.connection, VirtualConnection):
            counts = connection.statistics([queue])[queue]
            return sum(each or 0 for each in (counts.ready, counts.delayed, counts.leased))
        return Queue(queue)(connection).queue_declare(passive=True).message_count
