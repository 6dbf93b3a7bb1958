"""What a connection is made from: URLs and arguments, as values that can be compared, copied and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, cast

from kombu.connection.failover import Strategy
from kombu.exceptions import InvalidURL
from kombu.transport.base import Address, Transport
from kombu.utils.url import as_url, maybe_sanitize_url, parse_url

__all__ = ["ALIASES", "Arguments", "Credentials", "Retrying", "Target", "listed", "without_secrets"]

ALIASES: Mapping[str, str] = {"librabbitmq": "amqp", "pyamqp": "amqp"}
"""Names of transports that are shown under another."""

CONNECT_TIMEOUT = 5.0

Credentials = Callable[[], tuple[str | None, str | None]]
"""Gives user and password, each time when connecting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """How long to go on trying to connect; intervals and ``timeout``, which is for the whole, are seconds."""

    max_retries: int | None = None
    interval_start: float = 2.0
    interval_step: float = 2.0
    interval_max: float = 30.0
    timeout: float | None = None
    errback: Callable[[Exception, float], object] | None = None
    callback: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Target:
    """One broker: its transport and address. ``retrying`` is None where nothing was said about it."""

    transport: str | type[Transport]
    address: Address
    retrying: Retrying | None
    uri_prefix: str | None

    @property
    def name(self) -> str:
        """The transport's, for people."""
        name = self.transport if isinstance(self.transport, str) else self.transport.driver_name
        return ALIASES.get(name, name)

    def as_uri(self, include_password: bool = False, mask: str = "**") -> str:
        address = self.address
        uri = as_url(
            self.name,
            address.hostname,
            address.port,
            address.userid,
            address.password,
            address.virtual_host,
            sanitize=not include_password,
            mask=mask,
        )
        return f"{self.uri_prefix}+{uri}" if self.uri_prefix else uri

    def info(self) -> dict[str, Any]:
        """Name and value of each argument, without the secrets."""
        address = self.address
        return {
            "hostname": maybe_sanitize_url(address.hostname),
            "userid": address.userid,
            "virtual_host": address.virtual_host,
            "port": address.port,
            "ssl": without_secrets(address.ssl),
            "transport": self.name,
            "connect_timeout": address.connect_timeout,
            "transport_options": without_secrets(address.options),
            "login_method": address.login_method,
            "uri_prefix": self.uri_prefix,
            "heartbeat": address.heartbeat,
        }


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Arguments:
    """What a program said; None is what the URL says, or the transport."""

    hostname: str | Sequence[str] | None = "localhost"
    alternates: Sequence[str] | None = None
    failover_strategy: str | Strategy | None = None
    credential_provider: Credentials | None = None
    userid: str | None = None
    password: str | None = None
    virtual_host: str | None = None
    port: int | None = None
    ssl: bool | Mapping[str, object] | None = None
    transport: str | type[Transport] | None = None
    connect_timeout: float | None = None
    transport_options: Mapping[str, object] | None = None
    login_method: str | None = None
    uri_prefix: str | None = None
    heartbeat: float | None = None

    def target(self, url: str) -> Target:
        """The broker that ``url`` names; raises :class:`~kombu.exceptions.InvalidURL`."""
        parts = parse_url(url)
        query = {name: value for name, value in parts.items() if name not in _PARTS}
        timeout = query.pop("connect_timeout", self.connect_timeout)
        heartbeat = query.pop("heartbeat", self.heartbeat)
        ssl = query.pop("ssl", self.ssl)
        login_method = query.pop("login_method", None)
        options = {**query, **(self.transport_options or {})}
        retrying = _retrying({name: options.pop(name) for name in _RETRY_OPTIONS if name in options})
        address = Address(
            hostname=_text(parts["hostname"]),
            port=_whole(parts["port"] if self.port is None else self.port, "port"),
            userid=_text(parts["userid"] if self.userid is None else self.userid),
            password=_text(parts["password"] if self.password is None else self.password),
            virtual_host=_text(parts["virtual_host"] if self.virtual_host is None else self.virtual_host),
            connect_timeout=CONNECT_TIMEOUT if timeout is None else _seconds(timeout, "connect_timeout"),
            heartbeat=0.0 if heartbeat is None else _seconds(heartbeat, "heartbeat"),
            ssl=self.ssl if self.ssl and isinstance(self.ssl, Mapping) else _flag(ssl),
            login_method=self.login_method or _text(login_method),
            options=options,
        )
        transport = self.transport or str(parts["transport"])
        return Target(transport=transport, address=address, retrying=retrying, uri_prefix=self.uri_prefix)


def listed(hostname: str | Sequence[str] | None, alternates: Sequence[str] | None = None) -> tuple[str, ...]:
    """All URLs, the first one first; those that come later may leave out the scheme."""
    given = "localhost" if hostname is None else hostname
    entries = [*([given] if isinstance(given, str) else given), *(alternates or ())]
    if wrong := [type(entry).__name__ for entry in entries if not isinstance(entry, str)]:
        raise InvalidURL(f"a broker URL is text, not {wrong[0]}")
    urls = [url for entry in entries for url in entry.split(";")]
    if not urls or not all(urls):
        raise InvalidURL("a broker URL, or an entry in the list of them, is empty")
    scheme, separator, _ = urls[0].partition("://")
    return (urls[0], *(url if "://" in url or not separator else f"{scheme}://{url}" for url in urls[1:]))


def without_secrets(value: object) -> object:
    """The value, with what its keys call a password or a secret replaced by ``**``."""
    if not isinstance(value, Mapping):
        return maybe_sanitize_url(value)
    return {name: "**" if _secret(str(name)) else without_secrets(inner) for name, inner in value.items()}


_PARTS = frozenset({"transport", "hostname", "port", "userid", "password", "virtual_host"})

_RETRY_OPTIONS = {
    "max_retries": "max_retries",
    "interval_start": "interval_start",
    "interval_step": "interval_step",
    "interval_max": "interval_max",
    "connect_retries_timeout": "timeout",
    "errback": "errback",
    "callback": "callback",
}
"""The transport options that are not the transport's."""


def _retrying(given: Mapping[str, object]) -> Retrying | None:
    values = {_RETRY_OPTIONS[name]: _retry_value(name, value) for name, value in given.items()}
    return Retrying(**cast(dict[str, Any], values)) if values else None


def _retry_value(name: str, value: object) -> object:
    if name in ("errback", "callback"):
        if value is not None and not callable(value):
            raise InvalidURL(f"transport option {name} is not a function but {type(value).__name__}")
        return value
    if value is None and name in ("max_retries", "connect_retries_timeout"):
        return None
    return _whole(value, name) if name == "max_retries" else _seconds(value, name)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _whole(value: object, name: str) -> int | None:
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdecimal()):
        raise InvalidURL(f"{name}={value!r} is not a whole number")
    return int(text)


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


def _secret(name: str) -> bool:
    return any(word in name.lower() for word in ("passw", "secret", "token"))
