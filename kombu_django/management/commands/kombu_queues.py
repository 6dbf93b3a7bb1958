"""``manage.py kombu_queues``: what waits where, and pausing it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kombu.exceptions import KombuError
from kombu_django.conf import Config
from kombu_django.queues import QueueState, pause, queue_states
from kombu_django.running import configs


class Command(BaseCommand):
    help = "Shows what is ready, delayed and leased in the queues, and who consumes them; pauses and resumes queues."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--using", action="append", help="connection in settings.KOMBU; all if not given")
        parser.add_argument("--json", action="store_true", help="as JSON")
        parser.add_argument("--pause", action="append", default=[], metavar="QUEUE", help="give none of it out")
        parser.add_argument("--resume", action="append", default=[], metavar="QUEUE", help="give it out again")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = configs(options["using"])
            _pause(chosen, options["pause"], options["resume"])
            states = [state for config in chosen for state in queue_states(config)]
        except KombuError as exc:
            raise CommandError(str(exc)) from exc
        if options["json"]:
            self.stdout.write(json.dumps([asdict(state) for state in states]))
            return
        for line in _table(states):
            self.stdout.write(line)


def _pause(chosen: list[Config], pausing: list[str], resuming: list[str]) -> None:
    if not pausing and not resuming:
        return
    if len(chosen) != 1:
        names = ", ".join(config.alias for config in chosen)
        raise CommandError(f"which connection's queue? --using one of {names}")
    for queue in pausing:
        pause(chosen[0], queue, True)
    for queue in resuming:
        pause(chosen[0], queue, False)


def _table(states: list[QueueState]) -> list[str]:
    width = max([len(state.queue) for state in states], default=5)
    lines = [f"{'queue':{width}}  {'ready':>8}  {'delayed':>8}  {'leased':>8}  {'consumers':>9}  oldest"]
    for state in states:
        counts = f"{_told(state.ready)}  {_told(state.delayed)}  {_told(state.leased)}  {_told(state.consumers, 9)}"
        oldest = "-" if state.oldest is None else f"{state.oldest:.1f} s"
        paused = "  paused" if state.paused else ""
        lines.append(f"{state.queue:{width}}  {counts}  {oldest}{paused}")
    return lines


def _told(count: int | None, width: int = 8) -> str:
    return f"{'-' if count is None else count:>{width}}"
