"""Connection: what a program holds to talk to a broker, made from a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Self

from kombu.consumer import Consumer
from kombu.entity import Queue
from kombu.exceptions import ConnectionError, InvalidURL, OperationalError
from kombu.producer import Producer
from kombu.retry import RetryPolicy, retry
from kombu.transport import get_transport_cls
from kombu.transport.base import Address, Channel, Transport, TransportConnection
from kombu.utils.url import as_url, maybe_sanitize_url, parse_url

__all__ = ["BrokerConnection", "Connection"]


class Connection:
    """A connection to a broker, opened when first needed.

    ``hostname`` is a URL (``memory://``, ``django://default``) or a host name; the other arguments complete or
    override it. ``connect_timeout`` and ``heartbeat`` are seconds. ``transport_options`` are the transport's own,
    and may also stand in the URL's query. Not to be shared between threads.

    Raises :class:`~kombu.exceptions.InvalidURL`; an unknown scheme or a missing driver shows when connecting.
    """

    def __init__(
        self,
        hostname: str = "localhost",
        userid: str | None = None,
        password: str | None = None,
        virtual_host: str | None = None,
        port: int | None = None,
        ssl: bool | Mapping[str, object] = False,
        transport: str | type[Transport] | None = None,
        connect_timeout: float = 5.0,
        transport_options: Mapping[str, object] | None = None,
        login_method: str | None = None,
        heartbeat: float = 0.0,
    ) -> None:
        parts = parse_url(hostname)
        query = {name: value for name, value in parts.items() if name not in _PARTS}
        self._transport_name = transport or str(parts["transport"])
        self._address = Address(
            hostname=_text(parts["hostname"]),
            port=port if port is not None else _whole(parts["port"]),
            userid=userid if userid is not None else _text(parts["userid"]),
            password=password if password is not None else _text(parts["password"]),
            virtual_host=virtual_host if virtual_host is not None else _text(parts["virtual_host"]),
            connect_timeout=_seconds(query.pop("connect_timeout", connect_timeout), "connect_timeout"),
            heartbeat=_seconds(query.pop("heartbeat", heartbeat), "heartbeat"),
            ssl=_flag(query.pop("ssl", ssl)),
            login_method=login_method,
            options={**query, **(transport_options or {})},
        )
        self._transport: Transport | None = None
        self._connection: TransportConnection | None = None
        self._default_channel: Channel | None = None
        self._cut_off = False

    def __repr__(self) -> str:
        return f"<Connection {self.as_uri()}>"

    def connect(self) -> TransportConnection:
        """Connect now, once; raises :class:`~kombu.exceptions.OperationalError` where that fails."""
        return self.connection

    @property
    def connection(self) -> TransportConnection:
        """The open connection of the transport; opened when first asked for."""
        if self._connection is None or not self._connection.connected:
            self._default_channel = None
            self._connection = self.transport.establish_connection()
        return self._connection

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.connected

    @property
    def transport(self) -> Transport:
        """The transport; raises ``UnknownTransport`` or ``MissingDriver`` where there is none."""
        if self._transport is None:
            self._transport = self.get_transport_cls()(self._address)
        return self._transport

    def get_transport_cls(self) -> type[Transport]:
        """The class that the URL's scheme, or ``transport``, names."""
        name = self._transport_name
        return get_transport_cls(name) if isinstance(name, str) else name

    def ensure_connection(
        self,
        errback: Callable[[Exception, float], object] | None = None,
        max_retries: int | None = None,
        interval_start: float = 2.0,
        interval_step: float = 2.0,
        interval_max: float = 30.0,
        timeout: float | None = None,
    ) -> Self:
        """Connect, trying again while that fails; intervals and ``timeout``, which is for all attempts, are seconds.

        ``errback(error, seconds)`` is called before each pause. Raises the last
        :class:`~kombu.exceptions.OperationalError` when ``max_retries`` or ``timeout`` is over.
        """
        policy = RetryPolicy(
            max_retries=max_retries,
            interval_start=interval_start,
            interval_step=interval_step,
            interval_max=interval_max,
        )
        retry(self.connect, catch=(OperationalError,), policy=policy, timeout=timeout, on_error=errback)
        return self

    def reconnect(self) -> None:
        """Give up the open connection; the next use opens a new one.

        Consumers end with it: the next :meth:`drain_events` says so.
        """
        connection, self._connection, self._default_channel = self._connection, None, None
        if connection is not None:
            self._cut_off = self._cut_off or connection.consuming
            connection.close()

    def channel(self) -> Channel:
        """A new channel."""
        return self.connection.channel()

    @property
    def default_channel(self) -> Channel:
        """A channel that is kept and shared by what is given the connection itself."""
        connection = self.connection
        if self._default_channel is None or not self._default_channel.is_open:
            self._default_channel = connection.channel()
        return self._default_channel

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for one message on any of its channels and hand it to its consumer.

        Raises ``TimeoutError`` when none came within ``timeout`` seconds; None waits for ever. Raises
        :class:`~kombu.exceptions.ConnectionError` once when the connection was replaced under its consumers, and
        :class:`~kombu.exceptions.NotFound` when a queue was deleted under its consumers.
        """
        if self._cut_off:
            self._cut_off = False
            raise ConnectionError("the connection was replaced: its consumers have ended, start them again")
        self.connection.drain_events(timeout=timeout)

    def release(self) -> None:
        """Close it: unsettled messages go back to their queues, acknowledgements are written."""
        self.reconnect()
        self._cut_off = False

    close = release

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def Producer(self, channel: Channel | None = None, *args: Any, **kwargs: Any) -> Producer:
        """A producer on ``channel``, or on the default channel, opened when first needed."""
        return Producer(channel or self, *args, **kwargs)

    def Consumer(
        self, queues: Queue | list[Queue] | None = None, channel: Channel | None = None, **kwargs: Any
    ) -> Consumer:
        """A consumer on ``channel``, or on the default channel."""
        return Consumer(channel or self.default_channel, queues, **kwargs)

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        """What a lost connection raises."""
        return self.transport.connection_errors

    @property
    def channel_errors(self) -> tuple[type[Exception], ...]:
        """What a refused operation raises."""
        return self.transport.channel_errors

    def info(self) -> dict[str, Any]:
        """What it was made from, without the password."""
        address = self._address
        return {
            "hostname": maybe_sanitize_url(address.hostname),
            "userid": address.userid,
            "virtual_host": address.virtual_host,
            "port": address.port,
            "ssl": address.ssl,
            "transport": self._name(),
            "connect_timeout": address.connect_timeout,
            "heartbeat": address.heartbeat,
            "login_method": address.login_method,
        }

    def as_uri(self, include_password: bool = False, mask: str = "**") -> str:
        """The URL, with the password masked unless asked for."""
        address = self._address
        return as_url(
            self._name(),
            address.hostname,
            address.port,
            address.userid,
            address.password,
            address.virtual_host,
            sanitize=not include_password,
            mask=mask,
        )

    def _name(self) -> str:
        name = self._transport_name
        return name if isinstance(name, str) else name.driver_name


BrokerConnection = Connection
"""The specification's name for :class:`Connection`."""

_PARTS = frozenset({"transport", "hostname", "port", "userid", "password", "virtual_host"})


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _seconds(value: object, name: str) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < inf:
        raise InvalidURL(f"{name}={value!r} is not a number of seconds")
    return seconds


def _flag(value: object) -> bool | Mapping[str, object]:
    if isinstance(value, str):
        return value.lower() in ("1", "true", "yes", "on")
    return value if isinstance(value, Mapping) else bool(value)
