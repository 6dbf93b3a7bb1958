"""What RabbitMQ's queues hold: by passive declaration what is ready, from its management API what else there is.

The API counts at intervals (``collect_statistics_interval``, 5 seconds unless the broker is told otherwise), so what it
says may be that old, twice that for a quorum queue, and there is nothing of a queue that was just made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kombu.exceptions import AccessRefused, OperationalError
from kombu.transport.base import Address, QueueStatistics, TransportConnection, statistics_by_declaring
from kombu.transport.native.checks import wire_name
from kombu.transport.native.management import PORT, Management
from kombu.transport.native.options import Options, virtual_host_of
from kombu.transport.native.tls import read_tls

__all__ = ["Statistician"]


class Statistician:
    """Of one connection. Where the option ``management`` names none, the API is tried where a plain installation has
    it, and not again once it was not there."""

    def __init__(self, address: Address, options: Options, transport: str) -> None:
        self._address = address
        self._options = options
        self._transport = transport
        self._given_up = address.password is None and options.management is None

    def statistics(self, connection: TransportConnection, queues: Sequence[str] | None) -> dict[str, QueueStatistics]:
        """See :meth:`kombu.transport.base.TransportConnection.statistics`.

        Of queues that are named, ``ready`` and ``consumers`` are of this moment; ``leased`` and ``oldest`` are the
        API's, and so is everything where none are named. ``delayed`` is unknown: messages for all queues wait together
        (:mod:`kombu.transport.native.delay`).
        """
        if queues is None:
            told = self._ask(None)
            return statistics_by_declaring(connection, None, self._transport) if told is None else told
        declared = statistics_by_declaring(connection, queues, self._transport)
        told = self._ask(list(map(wire_name, declared))) or {}
        return {name: _together(known, told.get(wire_name(name))) for name, known in declared.items()}

    def _ask(self, names: Sequence[str] | None) -> dict[str, QueueStatistics] | None:
        """What the API says; None where it is not there."""
        if self._given_up or names == []:
            return None
        host = self._address.hostname or "localhost"
        url = self._options.management or f"http://{host}:{PORT}"
        user, password = self._address.userid or "guest", self._address.password or "guest"
        tls = read_tls(self._address.ssl, host) if url.startswith("https") else None
        management = Management(url, user, password, timeout=self._address.connect_timeout, tls=tls)
        try:
            return management.queues(virtual_host_of(self._address), names)
        except (OperationalError, AccessRefused):
            if self._options.management is not None:
                raise
            self._given_up = True
            return None


def _together(declared: QueueStatistics, told: QueueStatistics | None) -> QueueStatistics:
    """Declaring tells nothing of another connection's own queue, then all is the API's."""
    if told is None or declared.ready is None:
        return told or declared
    return replace(declared, leased=told.leased, oldest=told.oldest if declared.ready else None)
