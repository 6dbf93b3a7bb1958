"""What a URL and transport options say: the driver's arguments, and ours."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import parse_qsl, unquote

from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from kombu.exceptions import InvalidURL
from kombu.transport.base import Address
from kombu.transport.native.tls import requirement
from kombu.transport.virtual.options import Options
from kombu.utils.url import sanitize_url

DEFAULT_DATABASE = "kombu_default"
DEFAULT_PORT = 27017
PREFIX = "kombu_"
TIMEOUT = 20.0
"""Seconds for each request, with all that the driver tries again."""

_OF_WHICH = 0.8
"""The part of the time for connecting that one attempt may take, so that its reason is known when that is over."""

_SHARED = frozenset(each.name for each in fields(Options))
_OWN = (
    "default_database",
    "default_hostname",
    "default_port",
    "collection_prefix",
    "messages_collection",
    "queues_collection",
    "change_streams",
    "timeout",
    "ttl",
    "calc_queue_size",
)
_OF_OLD: Mapping[str, str] = {
    "capped_queue_size": "what a fanout exchange gets lies in the queues of its consumers, and no collection is capped",
    "broadcast_collection": "what a fanout exchange gets lies in the queues of its consumers, beside other messages",
    "routing_collection": "bindings are kept with the messages",
}
"""Options that mean nothing here any more, and why."""

_ALWAYS = ("ttl", "calc_queue_size")
"""Were switches; what they switched on is always on."""

_YES = ("1", "true", "yes", "on", True, 1)
_NO = ("0", "false", "no", "off", False, 0)
_URL = re.compile(r"(?P<scheme>mongodb(?:\+srv)?)://(?P<hosts>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?")

_URL_END = re.compile(r"(?<=[^/])/[^/]*\Z")

KNOWN = f"Known options are {', '.join([*_OWN, *sorted(_SHARED)])}, and those of the driver"
_TLS_NAMES = {"ca_certs": "tlsCAFile", "certfile": "tlsCertificateKeyFile"}
"""Python's names, and the driver's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``arguments`` are those of ``MongoClient``; ``place`` is for people. Times are seconds."""

    arguments: Mapping[str, Any] = field(repr=False)
    place: str
    database: str
    messages: str
    queues: str
    connect_timeout: float
    timeout: float
    change_streams: bool


def shared_options(given: Mapping[str, object]) -> dict[str, object]:
    """Those of all virtual transports."""
    return {name: value for name, value in given.items() if name in _SHARED}


def read_settings(address: Address) -> Settings:
    """Raises :class:`InvalidURL` for an option that neither we nor the driver know, or a value that means nothing."""
    options = address.options
    for name, reason in _OF_OLD.items():
        if name in options:
            raise InvalidURL(f"transport option {name}: {reason}; leave it out")
    for name in _ALWAYS:
        if not _flag(options, name, True):
            raise InvalidURL(f"transport option {name}={options[name]!r}: it is always on; leave it out")
    url, database = _url(address)
    database = address.virtual_host or database or _text(options, "default_database", DEFAULT_DATABASE)
    timeout = _seconds(options, "timeout", TIMEOUT)
    prefix = _text(options, "collection_prefix", PREFIX)
    return Settings(
        arguments={"host": url, **_arguments(address, timeout), **_drivers_own(address)},
        place=f"{_URL_END.sub('', sanitize_url(url))}/{database}",
        database=_checked_database(database),
        messages=_text(options, "messages_collection", f"{prefix}messages"),
        queues=_text(options, "queues_collection", f"{prefix}queues"),
        connect_timeout=_connect_timeout(address),
        timeout=timeout,
        change_streams=_flag(options, "change_streams", True),
    )


def _connect_timeout(address: Address) -> float:
    return address.connect_timeout or TIMEOUT


def _arguments(address: Address, timeout: float) -> dict[str, Any]:
    """What Kombu's own parameters mean to the driver, where nothing was said to the driver itself."""
    connecting = _connect_timeout(address) * 1000
    found: dict[str, Any] = {
        "appname": "kombu",
        "connectTimeoutMS": round(connecting * _OF_WHICH),
        "serverSelectionTimeoutMS": round(connecting),
        "timeoutMS": round(timeout * 1000),
        "port": address.port or _whole(address.options, "default_port", DEFAULT_PORT),
    }
    if address.userid:
        found["username"], found["password"] = address.userid, address.password or ""
    if isinstance(address.ssl, Mapping):
        found |= {"tls": True, **dict(_tls(name, value) for name, value in address.ssl.items())}
    elif address.ssl:
        found["tls"] = True
    if address.login_method:
        found["authMechanism"] = address.login_method
    given = {name.lower() for name in address.options}
    return {name: value for name, value in found.items() if name.lower() not in given}


def _tls(name: str, value: object) -> tuple[str, object]:
    """In the driver's words."""
    if name == "cert_reqs":
        try:
            return "tlsAllowInvalidCertificates", requirement(value) is ssl.CERT_NONE
        except ValueError as exc:
            raise InvalidURL(f"ssl: {exc}") from exc
    if name == "check_hostname":
        return "tlsAllowInvalidHostnames", value is False
    return _TLS_NAMES.get(name, name), value


def _drivers_own(address: Address) -> dict[str, Any]:
    """Options that are the driver's, and are not in the URL as they are: ``MongoClient`` looks at them."""
    in_url = dict(parse_qsl((address.hostname or "").partition("?")[2], keep_blank_values=True))
    ours = {*_OWN, *_SHARED}
    return {name: value for name, value in address.options.items() if name not in ours and in_url.get(name) != value}


def _url(address: Address) -> tuple[str, str]:
    """The URL for the driver, which is the user's without what is ours; and the database in it."""
    local = _text(address.options, "default_hostname", "127.0.0.1")
    given = address.hostname or local
    found = _URL.fullmatch(given if "://" in given else f"mongodb://{given}")
    if found is None:
        raise InvalidURL(f"not a URL of MongoDB: {sanitize_url(given)!r}")
    hosts, database, query = found["hosts"], found["database"] or "", found["query"] or ""
    if "@" in database or ("@" in query and "@" not in hosts):
        raise InvalidURL("the URL has an @ behind a / or a ?: write these in user and password as %40, %2F and %3F")
    if not hosts or hosts.endswith("@"):
        hosts += local
    return f"{found['scheme']}://{hosts}/{database}{_for_the_driver(query, address)}", unquote(database)


def _for_the_driver(query: str, address: Address) -> str:
    """What the connection has taken for itself is in the address's options no more."""
    ours = {*_OWN, *_SHARED}
    named = [(unquote(part.partition("=")[0]), part) for part in re.split("[&;]", query) if part]
    kept = [(name, part) for name, part in named if name in address.options and name not in ours]
    for name, part in kept:
        try:
            split_options(part, validate=True, warn=False)
        except (PyMongoError, ValueError) as exc:
            reason = str(exc).partition(" or maybe a camelCase")[0].rstrip(".")
            raise InvalidURL(f"transport option {name!r}: {reason}. {KNOWN}") from exc
    return f"?{'&'.join(part for _, part in kept)}" if kept else ""


def _checked_database(name: str) -> str:
    if wrong := [character for character in '/\\. "$\0' if character in name]:
        raise InvalidURL(f"database {name!r}: a name without {wrong[0]!r} is needed")
    if len(name.encode()) > 63:
        raise InvalidURL(f"database {name!r}: a name has 63 bytes at most")
    return name


def _text(options: Mapping[str, object], name: str, default: str) -> str:
    value = options.get(name, default)
    if not isinstance(value, str) or not value:
        raise InvalidURL(f"transport option {name}={value!r} must be text")
    return value


def _flag(options: Mapping[str, object], name: str, default: bool) -> bool:
    value = options.get(name, default)
    value = value.lower() if isinstance(value, str) else value
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise InvalidURL(f"transport option {name}={value!r} must be True or False")


def _seconds(options: Mapping[str, object], name: str, default: float) -> float:
    value = options.get(name, default)
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds < 86400:
        raise InvalidURL(f"transport option {name}={value!r} must be seconds, 0.1 or more")
    return seconds


def _whole(options: Mapping[str, object], name: str, default: int) -> int:
    value = str(options.get(name, default))
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 65536):
        raise InvalidURL(f"transport option {name}={value!r} must be a number from 1 to 65535")
    return int(value)
