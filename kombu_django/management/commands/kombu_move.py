"""``manage.py kombu_move``: carry what waits in a queue to another connection."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kombu.exceptions import KombuError
from kombu.moving import Moved, move
from kombu_django.connections import connect
from kombu_django.declaring import Declarer
from kombu_django.running import config_or_error, stopped_by_signals


class Command(BaseCommand):
    help = (
        "Moves what is ready in a queue of one connection to a queue of another, without loss. After an interruption"
        " run it again: messages of one batch may be there twice then, with the same message ids."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="connection in settings.KOMBU")
        parser.add_argument("queue", help="queue of the source")
        parser.add_argument("target", help="connection in settings.KOMBU")
        parser.add_argument("--to", metavar="QUEUE", help="queue of the target; that of the same name if not given")
        parser.add_argument("--batch", type=int, default=100, help="how many messages at once (100)")
        parser.add_argument("--limit", type=int, help="how many messages altogether; all if not given")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch: how many messages at once, at least 1")
        self.stopped = False
        self.count = 0
        way = f"from {options['source']}:{options['queue']} to {options['target']}:{options['to'] or options['queue']}"
        try:
            with stopped_by_signals(self.stop):
                moved = self.move(
                    **{name: options[name] for name in ("source", "queue", "target", "to", "batch", "limit")}
                )
        except KombuError as exc:
            raise CommandError(f"moved {self.count} messages {way}, then: {exc}") from exc
        except _Stopped:
            self.stdout.write(f"stopped: moved {self.count} messages {way}; run it again for the rest")
            return
        self.stdout.write(f"moved {moved.count} messages {way}{_left(moved)}")

    def move(self, source: str, queue: str, target: str, to: str | None, batch: int, limit: int | None) -> Moved:
        """What the target's registered consumers need is declared first."""
        with connect(config_or_error(source)) as taking, connect(config_or_error(target)) as giving:
            Declarer(target).declare(giving.default_channel)
            return move(taking, queue, giving, to, batch=batch, limit=limit, progress=self.progress)

    def progress(self, count: int) -> None:
        self.count = count
        if self.stopped:
            raise _Stopped
        self.stderr.write(f"moved {count}", ending="\r" if self.stderr.isatty() else "\n")

    def stop(self) -> None:
        self.stopped = True


class _Stopped(Exception):
    """Between two batches."""


def _left(moved: Moved) -> str:
    counts = (("ready", moved.left.ready), ("delayed", moved.left.delayed), ("held by consumers", moved.left.leased))
    left = [f"{count} {what}" for what, count in counts if count]
    return f"; left there: {', '.join(left)}" if left else ""
