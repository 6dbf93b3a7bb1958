"""The one open connection that a program's connection has at a time: made when needed, lost, replaced, given up.

Threads that need it at the same moment make one. A forked child lets go of the parent's without touching it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from time import monotonic

from kombu.connection.failover import Rota
from kombu.connection.parameters import Credentials, Target
from kombu.exceptions import ConnectionError, KombuError, OperationalError
from kombu.resource import keep_for_the_parent
from kombu.transport import get_transport_cls
from kombu.transport.base import Address, Channel, Transport, TransportConnection
from kombu.utils.compat import register_after_fork
from kombu.utils.deadline import seconds_to_wait

__all__ = ["Lifeline", "Replaced", "deadline_in", "seconds_left"]

logger = logging.getLogger(__name__)

LEAST_TIMEOUT = 0.1
"""Seconds for one attempt to connect, however close the caller's deadline is."""


class Replaced(ConnectionError):
    """There is a good connection, and it has none of the consumers of the one before."""


class Lifeline:
    """``target_of`` reads a URL; ``rota`` says whose turn it is."""

    _open: TransportConnection | None
    _default: Channel | None
    _told: TransportConnection | None

    def __init__(self, rota: Rota, target_of: Callable[[str], Target], credentials: Credentials | None) -> None:
        self.rota = rota
        self.target = target_of(rota.current)
        self.declared: set[object] = set()
        self._target_of = target_of
        self._credentials = credentials
        self._password: str | None = None
        self._transport: Transport | None = None
        self._begin()
        register_after_fork(self, Lifeline._forked)

    @property
    def connected(self) -> bool:
        connection = self._open
        return connection is not None and connection.connected

    @property
    def doubtful(self) -> bool:
        """Whether the next one to use it should have another: it was lost, or somebody still consumes."""
        connection = self._open
        return connection is not None and (not connection.connected or connection.consuming)

    @property
    def transport(self) -> Transport:
        transport = self._transport
        if transport is None or transport.address is not self.target.address:
            transport = self._transport = self.transport_class()(self.target.address)
        return transport

    def transport_class(self) -> type[Transport]:
        name = self.target.transport
        return get_transport_cls(name) if isinstance(name, str) else name

    def connect(self, deadline: float = inf, attempts: int | None = None) -> TransportConnection:
        """The open connection, or a new one: so many attempts, each at the broker whose turn it is; None: one each."""
        connection = self._open
        if connection is not None and connection.connected:
            return connection
        with self._turn_to_connect(deadline):
            if self._open is not None and self._open.connected:
                return self._open
            for left in reversed(range(attempts or len(self.rota.urls))):
                try:
                    return self._dial(deadline)
                except OperationalError:
                    self._advance()
                    if not left or monotonic() >= deadline:
                        raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def default_channel(self, deadline: float = inf) -> Channel:
        """The channel that is kept; opened when there is none, or when it or its connection was closed."""
        channel = self._default
        if channel is not None and channel.is_open and self.connected:
            return channel
        with self._turn_to_connect(deadline):
            connection = self.connect(deadline)
            channel = self._default
            if channel is None or not channel.is_open:
                channel = self._default = connection.channel()
            return channel

    @property
    def kept_channel(self) -> Channel | None:
        """The default channel, if it is open by now."""
        return self._default

    def keep_channel(self, channel: Channel) -> Channel | None:
        """Make this one the default channel; answers the one before."""
        with self._turn_to_connect(inf):
            before, self._default = self._default, channel
        return None if before is channel else before

    def drain(self, timeout: float | None) -> None:
        connection = self._open
        if connection is None or self._cut_off or self._interrupted or not connection.connected:
            deadline = deadline_in(timeout)
            connection = self._ready_to_drain(deadline)
            timeout = seconds_left(deadline)
        try:
            connection.drain_events(timeout)
        except Exception as exc:
            if isinstance(exc, ConnectionError) or not connection.connected:
                self._told = connection
            raise

    def heartbeat_check(self, rate: int) -> None:
        connection = self._open
        if connection is not None:
            connection.heartbeat_check(rate)

    def interrupt(self) -> None:
        """From any thread; never waits for one that is connecting."""
        with self._state:
            if self._open is None or not self._open.connected:
                self._interrupted = True
            else:
                self._open.interrupt()

    def aim(self, url: str) -> None:
        """Give up the open connection; the next one goes to ``url``."""
        target = self._target_of(url)
        with self._turn_to_connect(inf):
            self.give_up()
            self.target = target

    def aim_at_next(self) -> None:
        """The same with the next URL, if there is another."""
        if len(self.rota.urls) > 1:
            with self._turn_to_connect(inf):
                self.give_up()
                self._advance()

    def close(self) -> None:
        """Close it in good order; raises where that fails, since acknowledgements may be lost then."""
        connection = self._take()
        self._cut_off = False
        if connection is not None:
            connection.close()

    def give_up(self, told: bool = False) -> None:
        """Close it, broken as it may be. Its consumers hear of it with the next drain unless they are ``told``."""
        connection = self._take()
        if told:
            self._cut_off = False
        self._discard(connection)

    def hide(self, text: str) -> str:
        """The text of an error, without the password."""
        for password in filter(None, (self.target.address.password, self._password)):
            text = text.replace(password, "**")
        return text

    def _advance(self) -> None:
        if self.rota.advance():
            self.target = self._target_of(self.rota.current)

    def _take(self) -> TransportConnection | None:
        with self._turn_to_connect(inf):
            return self._let_go()

    def _let_go(self) -> TransportConnection | None:
        with self._state:
            gone, self._open, self._default = self._open, None, None
        self.declared.clear()
        if gone is not None and gone.consuming and gone is not self._told:
            self._cut_off = True
            if gone.connected:
                gone.interrupt()  # another thread may wait in it
        self._told = None
        return gone

    def _discard(self, connection: TransportConnection | None) -> None:
        """An error means that the broker will notice by itself."""
        if connection is None:
            return
        expected: tuple[type[Exception], ...] = (KombuError, OSError, *self.transport_class().connection_errors)
        try:
            connection.close()
        except expected as exc:
            uri = self.target.as_uri()
            logger.warning("gave up a connection to %s that cannot be closed: %s", uri, self.hide(str(exc)))

    def _ready_to_drain(self, deadline: float) -> TransportConnection:
        self._tell_of_cut_off()
        connection = self.connect(deadline)
        self._tell_of_cut_off()
        with self._state:
            interrupted, self._interrupted = self._interrupted, False
        if interrupted:
            raise TimeoutError("interrupted")
        return connection

    def _tell_of_cut_off(self) -> None:
        if self._cut_off:
            self._cut_off = False
            raise Replaced("the connection was replaced: its consumers have ended, start them again")

    def _dial(self, deadline: float) -> TransportConnection:
        self._discard(self._let_go())
        transport = self.transport
        address = self._address(deadline)
        if address is not self.target.address:
            transport = type(transport)(address)
        drivers: tuple[type[Exception], ...] = (TimeoutError, *transport.connection_errors)
        try:
            connection = transport.establish_connection()
        except drivers as exc:
            if isinstance(exc, OperationalError):
                raise
            raise OperationalError(f"{self.target.as_uri()}: {self.hide(str(exc) or repr(exc))}") from exc
        with self._state:
            self._open = connection
        return connection

    def _address(self, deadline: float) -> Address:
        address = self.target.address
        left = max(min(deadline - monotonic(), seconds_to_wait(inf)), LEAST_TIMEOUT)
        if left < address.connect_timeout:
            address = replace(address, connect_timeout=left)
        if self._credentials is not None:
            userid, self._password = _asked(self._credentials)
            address = replace(address, userid=userid, password=self._password)
        return address

    @contextmanager
    def _turn_to_connect(self, deadline: float) -> Iterator[None]:
        wait = min(max(deadline - monotonic(), 0.0), threading.TIMEOUT_MAX)
        if not self._connecting.acquire(timeout=wait):
            raise OperationalError(f"another thread is still connecting to {self.target.as_uri()}")
        try:
            yield
        finally:
            self._connecting.release()

    def _begin(self) -> None:
        self._connecting = threading.RLock()
        self._state = threading.Lock()
        self._open = None
        self._default = None
        self._cut_off = False
        self._interrupted = False
        self._told = None

    def _forked(self) -> None:
        """Consumers were the parent's: the child's next drain says so."""
        parents = self._open
        keep_for_the_parent(parents, self._default, self._transport)
        self._begin()
        self._transport = None
        self.declared.clear()
        self._cut_off = parents is not None and parents.consuming


def _asked(credentials: Credentials) -> tuple[str | None, str | None]:
    match credentials():
        case (str() | None as userid, str() | None as password):
            return userid, password
        case other:
            raise TypeError(f"credential_provider() gave {type(other).__name__}, not a user and a password")


def deadline_in(timeout: float | None) -> float:
    """The moment, by the monotonic clock, that is ``timeout`` seconds away; None is never."""
    return inf if timeout is None else monotonic() + timeout


def seconds_left(deadline: float) -> float | None:
    """What is left until then, in seconds; None for ever."""
    return None if deadline == inf else max(deadline - monotonic(), 0.0)
