"""The options of the transport, read and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from kombu.exceptions import InvalidURL
from kombu.transport.virtual import Options

_SHARED = frozenset(each.name for each in fields(Options))
_ALIASES = {"key_prefix": "global_keyprefix"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """Times are seconds. ``rest`` are the options that all virtual transports share."""

    global_keyprefix: str = ""
    max_connections: int = 10
    socket_timeout: float = 5.0
    socket_connect_timeout: float | None = None
    socket_keepalive: bool = True
    socket_keepalive_options: Mapping[int, int] | None = None
    health_check_interval: float = 25.0
    client_name: str | None = None
    credential_provider: object = None
    wait_replicas: int = 0
    wait_timeout: float = 1.0
    master_name: str | None = None
    min_other_sentinels: int = 0
    sentinel_kwargs: Mapping[str, object] = field(default_factory=dict)
    ssl_ca_certs: str | None = None
    ssl_ca_path: str | None = None
    ssl_ca_data: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = field(default=None, repr=False)
    ssl_cert_reqs: object = "required"
    ssl_check_hostname: bool = True
    ssl_ciphers: str | None = None
    rest: Mapping[str, object] = field(default_factory=dict)

    def tls(self) -> dict[str, Any]:
        """The driver's arguments for a connection with TLS, which verifies unless it was told otherwise."""
        names = [each.name for each in fields(self) if each.name.startswith("ssl_")]
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        given["ssl_cert_reqs"] = _requirement(self.ssl_cert_reqs)
        return given


def redis_options(given: Mapping[str, object], ssl: bool | Mapping[str, object] = False) -> RedisOptions:
    """``ssl`` are those that the connection's argument of that name has, with ``ssl_`` before them or not.

    Raises :class:`InvalidURL` for an unknown option, or a value that is not one.
    """
    tls = ssl if isinstance(ssl, Mapping) else {}
    named = {(name if name.startswith("ssl_") else f"ssl_{name}"): value for name, value in tls.items()}
    values: dict[str, Any] = {}
    rest: dict[str, object] = {}
    for name, value in {**named, **given}.items():
        known = _ALIASES.get(name, name)
        if known in _SHARED:
            rest[name] = value
        elif known in _READ:
            values[known] = _READ[known](name, value)
        else:
            names = ", ".join([*_READ, *_ALIASES, *sorted(_SHARED)])
            raise InvalidURL(f"unknown transport option {name!r}: known are {names}")
    return RedisOptions(**values, rest=rest)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidURL(f"transport option {name} must be text, not {type(value).__name__}")
    return value


def _count(least: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        text = str(value)
        if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or int(text) < least:
            raise InvalidURL(f"transport option {name}={value!r} must be a whole number, {least} or more")
        return int(text)

    return read


def _seconds(name: str, value: object) -> float:
    """Never without an end: what waits for ever is what a black hole makes of a program."""
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < inf:
        raise InvalidURL(f"transport option {name}={value!r} must be a number of seconds above 0")
    return seconds


def _interval(name: str, value: object) -> float:
    return 0.0 if str(value) in ("0", "0.0", "None") else _seconds(name, value)


def _flag(name: str, value: object) -> bool:
    text = str(value).lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise InvalidURL(f"transport option {name}={value!r} must be true or false")


def _mapping(name: str, value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise InvalidURL(f"transport option {name} must be a mapping, not {type(value).__name__}")
    return value


def _provider(name: str, value: object) -> object:
    if not callable(getattr(value, "get_credentials", None)):
        raise InvalidURL(f"transport option {name} must be a redis.CredentialProvider, not {type(value).__name__}")
    return value


def _any(name: str, value: object) -> object:
    _requirement(value)
    return value


def _requirement(value: object) -> str:
    """The driver's word for whether the server's certificate is verified."""
    text = str(getattr(value, "name", value)).lower().removeprefix("cert_")
    words = {"true": "required", "false": "none", "2": "required", "1": "optional", "0": "none"}
    word = words.get(text, text)
    if word not in ("required", "optional", "none"):
        raise InvalidURL(f"transport option ssl_cert_reqs={value!r} must be required, optional or none")
    return word


_READ: Mapping[str, Callable[[str, object], object]] = {
    "global_keyprefix": _text,
    "max_connections": _count(1),
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "socket_keepalive": _flag,
    "socket_keepalive_options": _mapping,
    "health_check_interval": _interval,
    "client_name": _text,
    "credential_provider": _provider,
    "wait_replicas": _count(0),
    "wait_timeout": _seconds,
    "master_name": _text,
    "min_other_sentinels": _count(0),
    "sentinel_kwargs": _mapping,
    "ssl_ca_certs": _text,
    "ssl_ca_path": _text,
    "ssl_ca_data": _text,
    "ssl_certfile": _text,
    "ssl_keyfile": _text,
    "ssl_password": _text,
    "ssl_cert_reqs": _any,
    "ssl_check_hostname": _flag,
    "ssl_ciphers": _text,
}
