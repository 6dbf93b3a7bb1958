"""What the promises stand on: a private server, names that are free, workers in threads, and waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import ClassVar
from uuid import uuid4

from kombu import Connection, Queue
from kombu.exceptions import KombuError
from tests.background import eventually, running
from tests.instances import End, Instance, instance
from tests.proxy import Proxy
from tests.resilience.ledger import Ledger
from tests.resilience.workers import AT_ONCE, Handle, Mixed, Publisher, Worker

SOME = 10
"""Messages before and after."""


class ResilienceCase:
    """See :mod:`tests.resilience` for what a subclass says."""

    server: ClassVar[str]
    ends: ClassVar[tuple[End, ...]] = ("fast", "kill")
    doubles: ClassVar[bool] = False
    counts: ClassVar[bool] = True
    forgets: ClassVar[bool] = False
    lease: ClassVar[float] = 3.0
    silence: ClassVar[float] = 2.0
    patience: ClassVar[float] = 30.0
    """Seconds after which a call that has a shorter limit counts as hanging."""
    victim_setup: ClassVar[str | None] = None

    own: ClassVar[Instance]
    _class_stack: ClassVar[ExitStack]

    def url(self, port: int) -> str:
        raise NotImplementedError

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease}

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
        self._urls: dict[int, str] = {}

    def teardown_method(self) -> None:
        self.stack.close()

    def url_of(self, port: int) -> str:
        """One for each port."""
        if port not in self._urls:
            self._urls[port] = self.url(port)
        return self._urls[port]

    @property
    def direct(self) -> str:
        """The URL past all proxies."""
        return self.url_of(self.own.port)

    def proxy(self) -> Proxy:
        """One more, until the test ends."""
        return self.stack.enter_context(Proxy(self.own.port))

    def through(self, proxy: Proxy) -> str:
        """The URL of that way."""
        return self.url_of(proxy.port)

    def queue(self, name: str = "orders") -> str:
        """The name of a queue of this test's own, declared."""
        name = f"{name}.{uuid4().hex[:12]}"
        with Connection(self.direct, transport_options=self.options) as connection:
            Queue(name)(connection).declare()
        self.stack.callback(self.delete, name)
        return name

    def delete(self, name: str) -> None:
        with Connection(self.direct, transport_options=self.options) as connection:
            Queue(name)(connection).delete()

    def publish(self, queue: str, *bodies: str) -> None:
        """Past all proxies; confirmed when it returns."""
        with Connection(self.direct, transport_options=self.options) as connection:
            for body in bodies:
                connection.Producer().publish(body, routing_key=queue, retry=True, retry_policy=AT_ONCE)
                self.ledger.confirmed.add(body)

    def some(self, count: int = 1) -> list[str]:
        """New bodies."""
        return [f"{next(Publisher.numbers)}" for _ in range(count)]

    @contextmanager
    def consuming(
        self, url: str, queue: str, handle: Handle = lambda _: None, way: type[Worker] = Mixed
    ) -> Iterator[Worker]:
        """A worker, which waits for messages when the block begins."""
        worker = way(url, self.options, queue, self.ledger, handle)
        with running(worker.run, worker.stop, self.ledger.errors):
            self.eventually(worker.idle.is_set)
            yield worker

    @contextmanager
    def publishing(self, url: str, queue: str) -> Iterator[Publisher]:
        publisher = Publisher(url, self.options, queue, self.ledger)
        with running(publisher.run, publisher.stop, self.ledger.errors):
            yield publisher

    def ends_in_time(self, call: Callable[[], object]) -> BaseException | None:
        """Answers the error it ends with, one of the library's or ``TimeoutError``."""
        ended: list[BaseException | None] = []

        def run() -> None:
            try:
                call()
            except (KombuError, TimeoutError) as exc:
                ended.append(exc)
            else:
                ended.append(None)

        with running(run, lambda: None, self.ledger.errors):
            eventually(lambda: ended, self.ledger.errors, self.silence + self.patience)
        return ended[0]

    def eventually(self, look: Callable[[], object]) -> None:
        eventually(look, self.ledger.errors)

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

    def is_empty(self, queue: str) -> None:
        """Wait until nothing is left in it, ready or held, as a consumer that waits for a lease sees it."""
        assert self.ledger.errors == []
        with Connection(self.direct, transport_options=self.options) as connection:
            assert Queue(queue)(connection).get() is None
