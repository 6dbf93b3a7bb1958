"""What the Django tests share: run consumers and relays in this process, and look at what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kombu_django.conf import get_config
from kombu_django.connections import connect
from kombu_django.consuming import Statistics as Consumed
from kombu_django.consuming import Worker
from kombu_django.declaring import Declarer
from kombu_django.models import Message
from kombu_django.registry import registry
from kombu_django.relay import Relay, Statistics


def declare(using: str = "default") -> None:
    """What a consumer or relay does first."""
    with connect(get_config(using)) as connection:
        Declarer(using).declare(connection.default_channel)


def consume(using: str = "default", **options: object) -> Consumed:
    """Run the registered consumers until nothing is ready."""
    worker = Worker(get_config(using), registry.handlers(using), once=True, tick=0.05, **options)
    worker.run(lambda: None)
    return worker.statistics


@contextmanager
def relay(using: str = "far") -> Iterator[Relay]:
    made = Relay(get_config(using), Statistics())
    try:
        yield made
    finally:
        made.close()


def carry(using: str = "far") -> Statistics:
    """Relay until the outbox has nothing to take."""
    with relay(using) as made:
        while made.step():
            pass
        return made.statistics


def waiting(queue: str, database: str = "default") -> int:
    """How many messages a queue has, whatever their state."""
    return Message.objects.using(database).filter(queue__name=queue).count()
