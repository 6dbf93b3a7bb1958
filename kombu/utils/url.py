"""Broker URLs: taken apart, put together, and shown without their password.

The rules for the virtual host are RabbitMQ's (https://www.rabbitmq.com/docs/uri-spec): ``amqp://h`` leaves it
to the transport, ``amqp://h/foo`` names ``foo`` and ``amqp://h//`` names ``/``. Three forms go further:

* ``sqla+sqlite:///x.db``: what follows the ``+`` is another library's URL. It is kept whole, as the hostname.
* ``redis+socket:///run/redis.sock?virtual_host=3``: a Unix socket. Its path, with the leading slash, is the
  hostname, and the query is read as ever.
* ``mongodb://h1:1,h2:2/db?replicaSet=rs`` and ``mongodb+srv://h/db``: a URL that its driver reads. It is kept whole, as
  the hostname, and its query is read as ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

from kombu.exceptions import InvalidURL

__all__ = ["URLParts", "as_url", "is_secret", "maybe_sanitize_url", "parse_url", "sanitize_url", "url_to_parts"]

T = TypeVar("T")

DEFAULT_SCHEME = "amqp"
"""What a URL without a scheme (``host``, ``user:pw@host:port``) means."""

_READ_BY_DRIVERS = frozenset({"mongodb"})
"""Schemes, up to a ``+``, of URLs that are another program's as well, with hosts in a list or behind a service name."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_A_HOST = re.compile(r"[\s\x00-\x1f\x7f\[\]]")
_SECRET = re.compile(r"passw|passphrase|pwd|secret|token|scram_\w+_key", re.IGNORECASE)
_SECRET_IN_QUERY = re.compile(rf"([?&][^=&]*(?:{_SECRET.pattern})[^=&]*=)[^&]*", re.IGNORECASE)
_NEXT_IN_A_LIST = re.compile(r";(?=[A-Za-z][A-Za-z0-9+._-]*://)")
_AFTER_A_COLON = re.compile(r":(?!//).+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class URLParts:
    """A broker URL's parts, percent escapes undone; None is what the URL leaves to the transport."""

    scheme: str
    hostname: str | None = None
    port: int | None = None
    userid: str | None = None
    password: str | None = field(default=None, repr=False)
    virtual_host: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)


def parse_url(url: str) -> dict[str, object]:
    """A broker URL as the arguments of a connection.

    The keys are transport, hostname, port, userid, password and virtual_host, and the query's own. A query
    key that names one of the parts replaces it. Raises :class:`~kombu.exceptions.InvalidURL`.
    """
    parts = url_to_parts(url)
    if "transport" in parts.query:
        raise _invalid("the scheme names the transport, a query cannot", url)
    options: dict[str, object] = {
        "transport": parts.scheme,
        "hostname": parts.hostname,
        "port": parts.port,
        "userid": parts.userid,
        "password": parts.password,
        "virtual_host": parts.virtual_host,
        **parts.query,
    }
    if "port" in parts.query:
        options["port"] = _port(parts.query["port"], url)
    return options


def url_to_parts(url: str) -> URLParts:
    """Take a broker URL apart. Raises :class:`~kombu.exceptions.InvalidURL`, never showing the password."""
    scheme, rest = _split_scheme(url)
    whole = f"{scheme.lower()}://{rest}"
    scheme, plus, inner = scheme.partition("+")
    if scheme.lower() in _READ_BY_DRIVERS:
        return URLParts(scheme=_scheme_name(scheme), hostname=whole, query=_read_query(rest.partition("?")[2]))
    if plus and inner != "socket":
        return URLParts(scheme=_scheme_name(scheme), hostname=f"{inner}://{rest}")
    address, _, query = rest.partition("?")
    authority, slash, path = address.partition("/")
    userinfo, _, host_and_port = authority.rpartition("@")
    userid, _, password = userinfo.partition(":")
    hostname, port = _split_host(host_and_port, url)
    virtual_host = unquote(path)
    if inner == "socket":
        if hostname or port or not path:
            raise _invalid(f"a socket is written {scheme}+socket:///path", url)
        hostname, virtual_host = slash + virtual_host, ""
    return URLParts(
        scheme=_scheme_name(scheme),
        hostname=hostname,
        port=port,
        userid=unquote(userid) or None,
        password=unquote(password) or None,
        virtual_host=virtual_host or None,
        query=_read_query(query),
    )


def as_url(
    scheme: str,
    hostname: str | None = None,
    port: int | None = None,
    userid: str | None = None,
    password: str | None = None,
    virtual_host: str | None = None,
    query: Mapping[str, str] | None = None,
    sanitize: bool = False,
    mask: str = "**",
) -> str:
    """Put a broker URL together; :func:`url_to_parts` takes it apart again.

    With ``sanitize`` the password is replaced by ``mask``.
    """
    if hostname and "://" in hostname:
        its_own = hostname.partition("://")[0].partition("+")[0] in _READ_BY_DRIVERS
        whole = hostname if its_own else f"{scheme}+{hostname}"
        return sanitize_url(whole, mask) if sanitize else whole
    options = dict(query or {})
    path = "" if virtual_host is None else "/" + quote(virtual_host, safe="/")
    if hostname and hostname.startswith("/"):
        scheme, path = f"{scheme}+socket", quote(hostname, safe="/")
        options |= {} if virtual_host is None else {"virtual_host": virtual_host}
        hostname = None
    authority = _userinfo(userid, password, mask if sanitize else None) + _host(hostname, port)
    url = f"{scheme}://{authority}{path}" + (f"?{urlencode(options)}" if options else "")
    return _hide_secrets_in_query(url, mask) if sanitize else url


def sanitize_url(url: str, mask: str = "**") -> str:
    """The URL, or the list of URLs between semicolons, with every password replaced by ``mask``.

    Never raises: it is what error messages use for URLs that cannot be understood. A password is taken to
    reach to the last ``@``, so that one written without escapes is hidden whole.
    """
    return ";".join(_sanitize_one(part, mask) for part in _NEXT_IN_A_LIST.split(url))


def maybe_sanitize_url(url: T, mask: str = "**") -> T | str:
    """:func:`sanitize_url` for what looks like a URL; anything else is given back as it is."""
    return sanitize_url(url, mask) if isinstance(url, str) and "://" in url else url


def is_secret(name: str) -> bool:
    """Whether the query's option of this name is a password, or as good as one."""
    return bool(_SECRET.search(name))


def _split_scheme(url: str) -> tuple[str, str]:
    if not isinstance(url, str):
        raise InvalidURL(f"a broker URL is text, not {type(url).__name__}")
    if not url.strip():
        raise InvalidURL("a broker URL is empty")
    if _CONTROL.search(url):
        raise _invalid("a broker URL has control characters (a line end, perhaps)", url)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return DEFAULT_SCHEME, url
    if not _SCHEME.match(scheme):
        raise _invalid("what stands before :// is not a scheme", url)
    return scheme, rest


def _read_query(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _scheme_name(scheme: str) -> str:
    """Schemes have no case (RFC 3986, 3.1); a dotted path to a transport class has."""
    return scheme if "." in scheme else scheme.lower()


def _split_host(text: str, url: str) -> tuple[str | None, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise _invalid("an IPv6 address is written [address] or [address]:port", url)
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
        if port.count(":"):
            raise _invalid("the host has more than one colon (an IPv6 address stands in brackets)", url)
    host = unquote(host)
    if _NOT_IN_A_HOST.search(host):
        raise _invalid("the host has a space, a bracket or a control character in it", url)
    return host or None, _port(port, url) if port else None


def _port(text: str, url: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise _invalid("the port is not a number from 1 to 65535", url)
    return int(text)


def _invalid(reason: str, url: str) -> InvalidURL:
    return InvalidURL(f"{reason}: {_shown(url)!r}")


def _shown(url: str) -> str:
    """The URL for an error message. Without an ``@``, what follows a colon may be a password as well."""
    shown = _sanitize_one(url, "**")
    return shown if "@" in shown else _AFTER_A_COLON.sub(":**", shown)


def _sanitize_one(url: str, mask: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not _SCHEME.match(scheme) or not separator:
        scheme, separator, rest = "", "", url
    rest = _hide_secrets_in_query(rest, mask)  # an @ in one of them is not the end of a password
    userinfo, at, address = rest.rpartition("@")
    userid, colon, _ = userinfo.partition(":")
    return scheme + separator + (f"{userid}:{mask}@{address}" if at and colon else rest)


def _hide_secrets_in_query(url: str, mask: str) -> str:
    return _SECRET_IN_QUERY.sub(lambda found: found[1] + mask, url)


def _userinfo(userid: str | None, password: str | None, mask: str | None) -> str:
    if not (userid or password):
        return ""
    user = quote(userid or "", safe="")
    if not password:
        return f"{user}@"
    return f"{user}:{quote(password, safe='') if mask is None else mask}@"


def _host(hostname: str | None, port: int | None) -> str:
    host = hostname or ""
    text = f"[{quote(host, safe=':')}]" if ":" in host else quote(host, safe=",;")
    return text if port is None else f"{text}:{port}"
