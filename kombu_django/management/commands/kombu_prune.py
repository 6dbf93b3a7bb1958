"""``manage.py kombu_prune``: forget what is no longer needed."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kombu.exceptions import KombuError
from kombu.sql import messages_sql
from kombu_django import inbox
from kombu_django.models import Worker
from kombu_django.running import configs
from kombu_django.store.database import DjangoDatabase

_DAY = 86400.0


class Command(BaseCommand):
    help = (
        "Removes inbox rows that are older than a message can still be redelivered, rows of workers that are gone,"
        " and messages of deleted queues. Run it daily."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=float, default=7.0, help="age of the inbox rows to remove (7)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] <= 0:
            raise CommandError("--days must be more than 0")
        found = configs(None)
        age = options["days"] * _DAY
        try:
            rows = sum(inbox.prune(database, age) for database in sorted({config.database for config in found}))
        except KombuError as exc:
            raise CommandError(str(exc)) from exc
        for database in sorted({config.database for config in found}):
            long_ago = round((time.time() - _DAY) * 1e6)
            Worker.objects.using(database).filter(seen_at__lt=long_ago).delete()
        for database in sorted({config.queue_database for config in found if config.queue_database}):
            queues = DjangoDatabase(database)
            with queues.session():
                queues.run(messages_sql.prune_orphans(queues.dialect))
        self.stdout.write(f"removed {rows} inbox rows")
