"""``beanstalk://host:port/virtual_host``: queues in the tubes of a beanstalkd, over greenstalk."""

from __future__ import annotations

import greenstalk

from kombu.exceptions import InvalidURL
from kombu.transport.base import Address
from kombu.transport.beanstalk.store import BeanstalkStore
from kombu.transport.virtual import Options, VirtualConnection, read_options
from kombu.transport.virtual import Transport as VirtualTransport

__all__ = ["BeanstalkStore", "Transport"]

_OWN = ("bury", "timeout")


class Transport(VirtualTransport):
    """Its tubes begin with the virtual host, if there is one. Transport options, beside those of every store:

    ``lease``
        Also the time to run of what is published here, in whole seconds.
    ``timeout``
        Seconds that the server may take for an answer, 10.
    ``bury``
        Bury what is rejected, and expired, where its queue has no dead-letter exchange, instead of dropping it.
    """

    driver_type = "beanstalk"
    driver_name = "greenstalk"
    default_port = 11300

    def make_store(self) -> BeanstalkStore:
        return self._store(read_options(self._shared()))

    def establish_connection(self) -> VirtualConnection:
        options = read_options(self._shared())
        connection = VirtualConnection(self._store(options), options)
        connection.open()
        return connection

    def driver_version(self) -> str:
        return greenstalk.__version__

    def _store(self, options: Options) -> BeanstalkStore:
        address = self.address
        _check(address)
        return BeanstalkStore(
            address.hostname or "localhost",
            address.port or self.default_port,
            address.virtual_host,
            lease=options.lease,
            connect_timeout=address.connect_timeout,
            timeout=_seconds(address.options.get("timeout", 10.0)),
            bury=_yes_or_no(address.options.get("bury", False)),
        )

    def _shared(self) -> dict[str, object]:
        return {name: value for name, value in self.address.options.items() if name not in _OWN}


def _check(address: Address) -> None:
    """Raises for what the protocol does not have."""
    if address.userid or address.password:
        raise InvalidURL("beanstalk: the server knows no users and no passwords; leave them out of the URL")
    if address.ssl:
        raise InvalidURL("beanstalk: the protocol has no TLS; put a tunnel before the server, and leave ssl out")


def _seconds(given: object) -> float:
    try:
        number = float(str(given))
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InvalidURL(f"transport option timeout={given!r} must be a number of seconds above 0")
    return number


def _yes_or_no(given: object) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(given).lower() not in known:
        raise InvalidURL(f"transport option bury={given!r} must be True or False")
    return known[str(given).lower()]
