"""From the ``ssl`` argument of a connection to a context that verifies, unless it is told not to."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

from kombu.exceptions import InvalidURL

__all__ = ["TLS", "read_tls", "requirement"]

_KNOWN = frozenset(
    {
        "ca_certs",
        "certfile",
        "keyfile",
        "password",
        "cert_reqs",
        "check_hostname",
        "server_hostname",
        "ciphers",
        "context",
        "ssl_version",
        "tls_minimum_version",
        "tls_maximum_version",
    }
)
_REQUIREMENTS = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
    "cert_required": ssl.CERT_REQUIRED,
    "cert_optional": ssl.CERT_OPTIONAL,
    "cert_none": ssl.CERT_NONE,
}


class TLS(NamedTuple):
    """What to wrap a socket with."""

    context: ssl.SSLContext
    server_hostname: str


def read_tls(given: bool | Mapping[str, object], hostname: str) -> TLS | None:
    """None where ``given`` is False. The certificate must be signed by ``ca_certs``, or else by one that the system
    trusts, and be for ``server_hostname``, or else for ``hostname``.

    ``certfile``, ``keyfile`` and ``password`` are the client's own; ``ciphers`` as OpenSSL has them;
    ``tls_minimum_version`` and ``tls_maximum_version`` are of :class:`ssl.TLSVersion`; ``context`` is a whole
    :class:`ssl.SSLContext`. ``cert_reqs`` of CERT_NONE (or ``"none"``) verifies nothing; ``check_hostname=False`` not
    the name. Raises :class:`~kombu.exceptions.InvalidURL` for an unknown name or a file that cannot be read.
    """
    if not given and not isinstance(given, Mapping):
        return None
    options = dict(given) if isinstance(given, Mapping) else {}
    if unknown := set(options) - _KNOWN:
        raise InvalidURL(f"ssl has no {', '.join(sorted(unknown))}: known are {', '.join(sorted(_KNOWN))}")
    name = str(options.get("server_hostname") or hostname)
    own = options.get("context")
    if isinstance(own, ssl.SSLContext):
        return TLS(own, name)
    try:
        return TLS(_context(options), name)
    except (OSError, TypeError, ValueError) as exc:
        files = ", ".join(f"{key}={options[key]!r}" for key in ("ca_certs", "certfile", "keyfile") if key in options)
        raise InvalidURL(f"ssl: {exc} ({files or 'no files given'})") from exc


def _context(options: Mapping[str, object]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    required = requirement(options.get("cert_reqs", ssl.CERT_REQUIRED))
    context.check_hostname = required is not ssl.CERT_NONE and options.get("check_hostname") is not False
    context.verify_mode = required
    if options.get("ca_certs"):
        context.load_verify_locations(str(options["ca_certs"]))
    elif required is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if options.get("certfile"):
        key, password = options.get("keyfile"), options.get("password")
        context.load_cert_chain(
            str(options["certfile"]), str(key) if key else None, str(password) if password is not None else None
        )
    if options.get("ciphers"):
        context.set_ciphers(str(options["ciphers"]))
    for bound in ("minimum_version", "maximum_version"):
        if (version := options.get(f"tls_{bound}")) is not None:
            setattr(context, bound, _version(version))
    return context


def requirement(value: Any) -> ssl.VerifyMode:
    """Of ``cert_reqs``; raises ValueError for what is none."""
    if isinstance(value, str):
        if value.lower() not in _REQUIREMENTS:
            raise ValueError(f"cert_reqs={value!r} must be required, optional or none")
        return _REQUIREMENTS[value.lower()]
    return ssl.CERT_REQUIRED if value is None else ssl.VerifyMode(value)


def _version(value: Any) -> ssl.TLSVersion:
    return ssl.TLSVersion[value] if isinstance(value, str) else ssl.TLSVersion(value)
