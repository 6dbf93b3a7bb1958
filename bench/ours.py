"""This library: ``python -m bench.ours memory|sqlite COUNT``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.load import message, rate, report
from kombu import Connection, Exchange, Message, Queue

EXCHANGE = Exchange("bench", "direct")
QUEUE = Queue("bench", EXCHANGE, routing_key="bench")
BATCH = 100


def main(system: str, count: int) -> None:
    if system == "sqlite":
        set_up_django()
    with Connection("memory://" if system == "memory" else "django://default") as connection:
        QUEUE.declare(channel=connection.default_channel)
        producer = connection.Producer(exchange=EXCHANGE, routing_key="bench")
        bodies = [message(number) for number in range(count)]
        rates = {"publish": rate(count, lambda: [producer.publish(body) for body in bodies])}
        seen, drain = drainer(connection, count)
        rates["drain"] = rate(count, drain)
        rates["publish in batches"] = rate(
            count, lambda: [producer.publish_many(bodies[at : at + BATCH]) for at in range(0, count, BATCH)]
        )
    report(rates, seen, count)


def drainer(connection: Connection, count: int) -> tuple[list[int], Callable[[], None]]:
    seen: list[int] = []

    def handle(body: dict[str, int], received: Message) -> None:
        seen.append(body["i"])
        received.ack()

    def drain() -> None:
        with connection.Consumer(QUEUE, callbacks=[handle], prefetch_count=BATCH):
            while len(seen) < count:
                connection.drain_events(timeout=5)

    return seen, drain


def set_up_django() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    options = {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    name = Path(tempfile.mkdtemp(prefix="kombu-bench-")) / "bench.sqlite3"
    settings.configure(
        INSTALLED_APPS=["kombu_django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
