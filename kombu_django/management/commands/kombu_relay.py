"""``manage.py kombu_relay``: carry outboxes to their brokers."""

from __future__ import annotations

import logging
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kombu.exceptions import KombuError, OperationalError
from kombu_django import outbox
from kombu_django.relay import Relay, Statistics
from kombu_django.running import configs, stopped_by_signals

logger = logging.getLogger(__name__)

_TICK = 0.5


class Command(BaseCommand):
    help = (
        "Carries what was published through an outbox to its broker, in order, until SIGTERM or SIGINT."
        " Several may run: one works, the others take over when it dies."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--using", action="append", help="connection in settings.KOMBU; all with OUTBOX if not given"
        )
        parser.add_argument("--once", action="store_true", help="end when the outbox is empty")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = [config for config in configs(options["using"]) if config.outbox]
        if not chosen:
            raise CommandError("no connection with an outbox: see OUTBOX in settings.KOMBU")
        try:
            for config in chosen:
                outbox.due_in(config)
            statistics = Statistics()
            relays = [Relay(config, statistics) for config in chosen]
        except KombuError as exc:
            raise CommandError(str(exc)) from exc
        self.stopped = False
        with stopped_by_signals(self.stop):
            self.say(f"relaying: {', '.join(config.alias for config in chosen)}")
            while not self.stopped and not (self.round(relays) is False and options["once"]):
                pass
        for relay in relays:
            relay.close()
        self.say(f"relayed {statistics.relayed}, failed {statistics.failed}")

    def round(self, relays: list[Relay]) -> bool:
        """One batch for each; waits when there was none. False then."""
        try:
            if sum(relay.step() for relay in relays):
                return True
            for relay in relays:
                relay.wait(_TICK / len(relays))
        except OperationalError as exc:
            logger.warning("trying again in %.1f s: %s", _TICK, exc)
            time.sleep(_TICK)
        return False

    def stop(self) -> None:
        self.stopped = True

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
