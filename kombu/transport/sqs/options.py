"""What a URL and the transport options say about AWS: as a value, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from kombu.exceptions import InvalidURL
from kombu.transport.base import Address
from kombu.transport.sqs.limits import AWS, WAIT
from kombu.transport.sqs.names import is_fifo
from kombu.transport.virtual.options import Options, read_options
from kombu.utils.url import URLParts, url_to_parts

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How AWS is reached and used; the names are those of the transport options.

    ``endpoint``: the URL of a compatible server. ``key`` and ``secret``: credentials, where they are not for boto3 to
    find. ``ca_certs``: a file. Times are seconds, sizes bytes.
    """

    endpoint: str | None = None
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    ca_certs: str | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 15.0
    region: str | None = None
    queue_name_prefix: str = ""
    predefined_queues: Mapping[str, str] = field(default_factory=dict)
    wait_time_seconds: int = WAIT
    max_polls: int = 10
    supports_fanout: bool = False
    filter_delay: float = 900.0
    topology_check: float = 30.0
    max_message_size: int = AWS.size
    message_group: str = "kombu"
    redrive: bool = False
    sqs_creation_attributes: Mapping[str, str] = field(default_factory=dict)
    queue_tags: Mapping[str, str] = field(default_factory=dict)
    client_config: Mapping[str, object] = field(default_factory=dict)
    sts_role_arn: str | None = None
    sts_token_timeout: int = 900

    @property
    def predefined(self) -> bool:
        """Whether there are queues that are only used, never made."""
        return bool(self.predefined_queues)

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.endpoint or f"SQS in {self.region or 'the default region'}"


def read_settings(address: Address) -> tuple[Settings, Options]:
    """What is AWS's, and what is every virtual transport's. Raises :class:`InvalidURL`."""
    address, endpoint = _with_endpoint(address)
    given = {_ALIASES.get(name, name): value for name, value in address.options.items()}
    known = {name: _READ[name](name, given.pop(name)) for name in list(given) if name in _READ}
    secure = known.pop("is_secure", None)
    known.pop("port", None)
    _check_credentials(address)
    settings = replace(
        Settings(**cast(dict[str, Any], known)),
        endpoint=endpoint or _endpoint(address, secure is not False),
        key=address.userid,
        secret=address.password,
        ca_certs=_ca_certs(address.ssl),
        connect_timeout=address.connect_timeout,
    )
    return settings, _common(given)


def _with_endpoint(address: Address) -> tuple[Address, str | None]:
    """``sqs+http://KEY:SECRET@host:port?option=value`` stands whole in the hostname."""
    hostname = address.hostname or ""
    if "://" not in hostname:
        if address.virtual_host not in (None, "/"):
            raise InvalidURL(f"SQS has no virtual hosts ({address.virtual_host!r}): use the option queue_name_prefix")
        return address, None
    parts = url_to_parts(hostname)
    if parts.scheme not in ("http", "https"):
        raise InvalidURL(f"after sqs+ stands http:// or https://, not {parts.scheme}://")
    inner = replace(
        address,
        hostname=parts.hostname,
        port=parts.port,
        userid=address.userid or parts.userid,
        password=address.password or parts.password,
        options={**parts.query, **address.options},
    )
    return inner, _server(parts)


def _server(parts: URLParts) -> str:
    if not parts.hostname:
        raise InvalidURL(f"no host in sqs+{parts.scheme}://")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    path = "" if parts.virtual_host is None else "/" + parts.virtual_host.strip("/")
    return f"{parts.scheme}://{host}{port}{path}"


def _endpoint(address: Address, secure: bool) -> str | None:
    """``localhost`` without a port is what a connection has without a URL, and means AWS itself."""
    if not address.hostname or (address.hostname == "localhost" and address.port is None):
        return None
    return _server(
        URLParts(scheme="https" if secure else "http", hostname=address.hostname, port=address.port),
    )


def _check_credentials(address: Address) -> None:
    if (address.userid is None) != (address.password is None):
        raise InvalidURL(
            "the URL has only one of key and secret: sqs://KEY:SECRET@, in the secret / is written %2F and + %2B;"
            " without both, boto3 looks for credentials in its usual places"
        )


def _ca_certs(ssl: bool | Mapping[str, object]) -> str | None:
    if not isinstance(ssl, Mapping):
        return None
    if unknown := set(ssl) - {"ca_certs"}:
        raise InvalidURL(f"ssl has no {', '.join(sorted(unknown))} for SQS, only ca_certs")
    return str(ssl["ca_certs"]) if "ca_certs" in ssl else None


def _common(given: dict[str, object]) -> Options:
    """``visibility_timeout`` is what a lease is called at AWS."""
    if "visibility_timeout" in given:
        timeout = given.pop("visibility_timeout")
        if "lease" in given and str(given["lease"]) != str(timeout):
            raise InvalidURL("the transport options lease and visibility_timeout are the same: give one of them")
        given["lease"] = timeout
    names = ", ".join(sorted({"is_secure", "visibility_timeout", *(set(_READ) - {"port"})}))
    options = {each.name for each in fields(Options)}
    if unknown := set(given) - options:
        raise InvalidURL(
            f"unknown transport option {', '.join(map(repr, sorted(unknown)))}: SQS has {names}, and every virtual"
            f" transport has {', '.join(sorted(options))}"
        )
    read = read_options(given)
    if read.lease > AWS.visibility:
        raise InvalidURL(f"transport option lease={read.lease:g}: SQS keeps {AWS.visibility} seconds at most")
    return read


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidURL(f"transport option {name}={value!r} must be text")
    return value


def _prefix(name: str, value: object) -> str:
    text = "" if value == "" else _text(name, value)
    if len(text) > _LONGEST_PREFIX or not all(each.isascii() and (each.isalnum() or each in "-_") for each in text):
        raise InvalidURL(
            f"transport option {name}={value!r}: up to {_LONGEST_PREFIX} letters, digits, '-' and '_', as AWS has it"
        )
    return text


_LONGEST_PREFIX = 40


def _flag(name: str, value: object) -> bool:
    text = str(value).lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off", ""):
        return False
    raise InvalidURL(f"transport option {name}={value!r} must be true or false")


def _number(least: float, most: float) -> Callable[[str, object], float]:
    def read(name: str, value: object) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise InvalidURL(f"transport option {name}={value!r} must be a number from {least:.10g} to {most:.10g}")
        return number

    return read


def _whole(least: int, most: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        number = _number(least, most)(name, value)
        if number % 1:
            raise InvalidURL(f"transport option {name}={value!r} must be a whole number")
        return int(number)

    return read


def _texts(name: str, value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidURL(f"transport option {name} must be a dictionary of texts, not {type(value).__name__}")
    return {str(key): str(each) for key, each in value.items()}


def _mapping(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidURL(f"transport option {name} must be a dictionary, not {type(value).__name__}")
    return dict(value)


def _queues(name: str, value: object) -> Mapping[str, str]:
    """``{queue: {"url": URL}}``, or shorter ``{queue: URL}``."""
    found: dict[str, str] = {}
    for queue, described in _mapping(name, value).items():
        url = described.get("url") if isinstance(described, Mapping) else described
        if isinstance(described, Mapping) and (unknown := set(described) - {"url"}):
            raise InvalidURL(f"transport option {name}: {queue!r} has only a url, no {', '.join(sorted(unknown))}")
        if not isinstance(url, str) or "://" not in url:
            raise InvalidURL(f"transport option {name}: queue {queue!r} needs a url")
        if is_fifo(url) and not is_fifo(queue):
            raise InvalidURL(f"transport option {name}: {url} keeps the order, so its name here ends with .fifo, too")
        found[queue] = url
    if not found:
        raise InvalidURL(f"transport option {name} names no queue")
    return found


_ALIASES = {
    "sqs-creation-attributes": "sqs_creation_attributes",
    "client-config": "client_config",
    "region_name": "region",
}

_READ: Mapping[str, Callable[[str, object], object]] = {
    "is_secure": _flag,
    "read_timeout": _number(1, 600),
    "region": _text,
    "queue_name_prefix": _prefix,
    "predefined_queues": _queues,
    "wait_time_seconds": _whole(1, WAIT),
    "max_polls": _whole(1, 100),
    "supports_fanout": _flag,
    "filter_delay": _number(0, 86_400),
    "topology_check": _number(0, 3600),
    "max_message_size": _whole(1024, AWS.size),
    "message_group": _text,
    "redrive": _flag,
    "sqs_creation_attributes": _texts,
    "queue_tags": _texts,
    "client_config": _mapping,
    "sts_role_arn": _text,
    "sts_token_timeout": _whole(900, 43_200),
}
