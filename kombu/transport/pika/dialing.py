"""From an address to an open connection of pika's, or an error that says what to do."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import pika
from pika import exceptions as drivers
from pika.credentials import ExternalCredentials, PlainCredentials

from kombu.exceptions import ConnectionError, InvalidURL, KombuError, OperationalError
from kombu.transport.base import Address
from kombu.transport.native.errors import connection_error, refused_entry
from kombu.transport.native.options import Options, heartbeat_of, virtual_host_of
from kombu.transport.native.tables import encode_table
from kombu.transport.native.tls import read_tls
from kombu.transport.pika.wire import Services, Wire

__all__ = ["again", "lost", "parameters_of", "place_of", "refusal", "start"]

PORT = 5672
TLS_PORT = 5671


_CLOSED_BY_BROKER = re.compile(r"ConnectionClosedByBroker: \((?P<code>\d+)\) (?P<quote>['\"])(?P<text>.*)(?P=quote)")
"""What pika tells of the broker's answer to a login, as text in another error."""


class AMQPlainCredentials(PlainCredentials):  # type: ignore[misc]
    """SASL AMQPLAIN, which pika does not have: user and password in a field table without its length."""

    TYPE = "AMQPLAIN"

    def response_for(self, start: Any) -> tuple[str | None, bytes | None]:
        if self.TYPE.encode() not in start.mechanisms.split():
            return None, None
        return self.TYPE, encode_table({"LOGIN": self.username, "PASSWORD": self.password})[4:]


_MECHANISMS: Mapping[str, Callable[[str, str], object]] = {
    "PLAIN": PlainCredentials,
    "AMQPLAIN": AMQPlainCredentials,
    "EXTERNAL": lambda user, password: ExternalCredentials(),
}


def parameters_of(address: Address, options: Options) -> pika.ConnectionParameters:
    """Raises :class:`~kombu.exceptions.InvalidURL`."""
    mechanism = (address.login_method or "PLAIN").upper()
    if mechanism not in _MECHANISMS:
        raise InvalidURL(f"login_method={address.login_method!r}: known are {', '.join(_MECHANISMS)}")
    host = address.hostname or "localhost"
    tls = read_tls(address.ssl, host)
    return pika.ConnectionParameters(
        host=host,
        port=address.port or (TLS_PORT if tls else PORT),
        virtual_host=virtual_host_of(address),
        credentials=_MECHANISMS[mechanism](address.userid or "guest", address.password or "guest"),
        heartbeat=heartbeat_of(address),
        ssl_options=pika.SSLOptions(tls.context, tls.server_hostname) if tls else None,
        socket_timeout=address.connect_timeout,
        stack_timeout=address.connect_timeout,
        client_properties={"product": "kombu", **dict(options.client_properties)},
    )


def place_of(address: Address) -> str:
    """Host and port, for people."""
    return f"{address.hostname or 'localhost'}:{address.port or (TLS_PORT if address.ssl else PORT)}"


def start(
    parameters: pika.ConnectionParameters,
    loop: asyncio.AbstractEventLoop,
    opened: Callable[[], object],
    failed: Callable[[BaseException], object],
    closed: Callable[[BaseException], object],
) -> tuple[Wire, Services]:
    """In the event loop: begin to connect. One of the first two follows; ``closed`` only after ``opened``."""
    services = Services(loop)
    wire = Wire(
        parameters,
        on_open_callback=lambda _: opened(),
        on_open_error_callback=lambda _, error: failed(error),
        on_close_callback=lambda _, error: closed(error),
        custom_ioloop=services,
    )
    return wire, services


def refusal(error: BaseException, address: Address) -> KombuError:
    """The error to raise where connecting failed."""
    root, place = _root(error), place_of(address)
    if isinstance(root, drivers.ConnectionClosedByBroker):
        code, text = int(root.reply_code), str(root.reply_text)
    elif found := _CLOSED_BY_BROKER.search(str(root)):
        code, text = int(found["code"]), found["text"]
    else:
        return OperationalError(f"{place}{_why_not(root, address)}")
    user = address.userid or "guest"
    return refused_entry(code, text, user=user, virtual_host=virtual_host_of(address), address=place)


def _why_not(root: BaseException, address: Address) -> str:
    """What to do about an attempt of which the broker has said nothing."""
    user = address.userid or "guest"
    if isinstance(root, ssl.SSLCertVerificationError):
        name = address.ssl.get("server_hostname") if isinstance(address.ssl, Mapping) else None
        return (
            f": the certificate cannot be trusted for {name or address.hostname!r}: {root.verify_message}. Give the"
            " authority that signed it (ssl ca_certs) or the name it is for (ssl server_hostname)"
        )
    if isinstance(root, drivers.AuthenticationError):
        return f" takes no login_method {address.login_method or 'PLAIN'} of ours"
    if isinstance(root, (drivers.ProbableAuthenticationError, drivers.ProbableAccessDeniedError)):
        return f" hung up without a word while user {user!r} logged in"
    if address.ssl and isinstance(root, (OSError, drivers.AMQPConnectionError)):
        return (
            f": no TLS: {_said(root)}. Is that the port for TLS (RabbitMQ: {TLS_PORT}), and is a client certificate"
            " asked for (ssl certfile, keyfile)?"
        )
    if isinstance(root, drivers.AMQPConnectionError):
        return f": {_said(root)}. Is that the broker's port for AMQP, and does it want TLS (ssl=True)?"
    return f": {_said(root)}"


def lost(error: BaseException) -> ConnectionError:
    """The error to raise where an open connection has ended."""
    if isinstance(error, drivers.ConnectionClosedByBroker):
        return connection_error(error.reply_code, error.reply_text)
    return ConnectionError(f"the connection was lost: {_said(_root(error))}")


def again(error: KombuError) -> KombuError:
    """The same for another caller, whose traceback is another."""
    made = type(error)(*error.args)
    made.__cause__ = error.__cause__
    return made


def _root(error: BaseException) -> BaseException:
    """pika wraps errors in the arguments and attributes of others."""
    for _ in range(10):
        inner = getattr(error, "exception", None)
        if inner is None and (several := getattr(error, "exceptions", None)):
            inner = several[-1]
        if inner is None and error.args and isinstance(error.args[0], BaseException):
            inner = error.args[0]
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
