"""``manage.py kombu_consume``: run the consumers of one connection."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kombu.exceptions import KombuError
from kombu_django.conf import DEFAULT_ALIAS
from kombu_django.consuming import Worker
from kombu_django.registry import Handler, registry
from kombu_django.running import config_or_error, stopped_by_signals


class Command(BaseCommand):
    help = (
        "Runs the functions that are registered with @consumer, until SIGTERM or SIGINT: then the message in hand"
        " is finished and the others go back to their queues."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--using", help="connection in settings.KOMBU; the only one with consumers, if there is one"
        )
        parser.add_argument("--queues", help="only these, comma separated")
        parser.add_argument("--prefetch", type=int, help="messages to take at a time (64)")
        parser.add_argument("--lease", type=float, help="seconds until a dead process's messages come back (60)")

        parser.add_argument("--once", action="store_true", help="end when no message is ready")

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["using"] or _only_alias()
        handlers = _chosen(registry.handlers(using), options["queues"], using)
        leased = {} if options["lease"] is None else {"lease": options["lease"]}
        worker = Worker(config_or_error(using), handlers, prefetch=options["prefetch"], once=options["once"], **leased)
        names = ", ".join(handler.queue.name for handler in handlers)
        try:
            with stopped_by_signals(worker.stop):
                worker.run(lambda: self.say(f"consuming: {names}"))
        except KombuError as exc:
            raise CommandError(f"{using}: {exc}") from exc
        counted = worker.statistics
        self.say(
            f"handled {counted.handled}, redelivered {counted.redelivered},"
            f" duplicates skipped {counted.duplicates}, retried {counted.retried}, dead-lettered {counted.dead}"
        )

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _only_alias() -> str:
    aliases = registry.aliases()
    if not aliases:
        raise CommandError("no consumers: write functions with @kombu_django.consumer in the consumers.py of an app")
    if len(aliases) > 1 and DEFAULT_ALIAS not in aliases:
        raise CommandError(f"consumers of several connections: choose with --using {' or '.join(aliases)}")
    return DEFAULT_ALIAS if DEFAULT_ALIAS in aliases else aliases[0]


def _chosen(handlers: list[Handler], queues: str | None, using: str) -> list[Handler]:
    if not handlers:
        raise CommandError(f"no consumers of connection {using!r}: there are some of {registry.aliases()}")
    if queues is None:
        return handlers
    wanted = [name.strip() for name in queues.split(",")]
    known = {handler.queue.name: handler for handler in handlers}
    if unknown := [name for name in wanted if name not in known]:
        raise CommandError(f"no consumer of queue {unknown[0]!r}: there are {', '.join(sorted(known))}")
    return [known[name] for name in wanted]
