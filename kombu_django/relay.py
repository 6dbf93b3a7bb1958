"""The relay: carries a connection's outbox to its broker, in order, at least once each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from kombu.exceptions import ChannelError, KombuError, OperationalError, SerializationError
from kombu.retry import RetryPolicy
from kombu.transport.base import Channel
from kombu.transport.virtual.options import Options, read_options
from kombu_django import outbox
from kombu_django.conf import Config
from kombu_django.connections import Link

logger = logging.getLogger(__name__)

BATCH = 200
_BACKOFF = RetryPolicy(interval_start=0.5, interval_step=1.0, interval_max=30.0)


@dataclass(slots=True)
class Statistics:
    relayed: int = 0
    failed: int = 0


class Relay:
    """Works on the outbox of one connection. A row leaves only when the broker has stored its message.

    When the broker cannot be reached, the rows wait and are tried again, with growing pauses. A message that the
    broker refuses is put aside with the reason. A crash between storing and removing repeats a batch; the
    message ids stay the same, so that an inbox drops what came twice. The transport option ``lease`` (seconds, 60
    if not given) also says when another relay takes what one that died had taken.
    """

    def __init__(self, config: Config, statistics: Statistics) -> None:
        self.config = config
        self.statistics = statistics
        self._link = Link(config)
        self._lease = _lease(config)
        self._waiter = outbox.waiter(config)

    def step(self) -> bool:
        """Carry one batch; False when there was nothing to take."""
        rows = outbox.claim(self.config, BATCH, self._lease)
        if not rows:
            return False
        try:
            self._carry(rows)
        except OperationalError as exc:
            pause = _BACKOFF.delay(rows[0].attempts)
            logger.warning("%s: %d messages wait %.1f s more: %s", self.config.alias, len(rows), pause, exc)
            outbox.postpone(self.config, rows, pause, str(exc))
            if self._link.connection.connected:
                self._link.connection.reconnect()
        return True

    def wait(self, seconds: float) -> None:
        """Return when there is something to take, after ``seconds`` in any case."""
        outbox.wait(self.config, self._waiter, seconds)

    def close(self) -> None:
        self._waiter.close()
        self._link.connection.release()

    def _carry(self, rows: Sequence[outbox.Row]) -> None:
        channel = self._link.channel
        try:
            channel.publish_batch([row.publication for row in rows])
        except (ChannelError, SerializationError):
            self._carry_each(channel, rows)
        else:
            self.statistics.relayed += outbox.done(self.config, rows)

    def _carry_each(self, channel: Channel, rows: Sequence[outbox.Row]) -> None:
        """Nothing of a batch was stored when one of it is refused: find out which."""
        for row in rows:
            try:
                channel.publish_batch([row.publication])
            except OperationalError:
                raise
            except KombuError as exc:
                logger.error("%s: outbox row %s is refused: %s", self.config.alias, row.id, exc)
                outbox.fail(self.config, row, f"{type(exc).__name__}: {exc}")
                self.statistics.failed += 1
            else:
                self.statistics.relayed += outbox.done(self.config, [row])


def _lease(config: Config) -> float:
    return read_options({"lease": config.transport_options.get("lease", Options().lease)}).lease
