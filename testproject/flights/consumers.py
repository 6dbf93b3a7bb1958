"""What becomes of the events. ``manage.py kombu_consume`` finds these and runs them.

Each runs in a transaction of the site's database. A total is changed where it lies, never read and
written back, so consumers may work side by side and events may come in any order.
"""

from __future__ import annotations

from django.db.models import F, Value
from django.db.models.functions import Greatest

from kombu import Exchange, Message, Queue
from kombu_django import consumer

from .events import EXCHANGE, DepartureEvent
from .models import AirportBoard, AirportCancellations, CarrierDelay, Effect

departures = Exchange(EXCHANGE, "topic")


@consumer(Queue("delays", departures, routing_key="*.*.departed"), retries=5, atomic=True)
def delays(event: DepartureEvent, message: Message) -> None:
    """How many flights of each carrier departed, and how late they were together."""
    CarrierDelay.objects.change(event["carrier"], departures=F("departures") + 1, minutes=F("minutes") + event["delay"])
    _record("delays", event, message)


@consumer(Queue("cancellations", departures, routing_key="*.*.cancelled"), retries=5, atomic=True)
def cancellations(event: DepartureEvent, message: Message) -> None:
    """How many flights were cancelled at each airport."""
    AirportCancellations.objects.change(event["origin"], cancellations=F("cancellations") + 1)
    _record("cancellations", event, message)


@consumer(Queue("board", departures, routing_key="#"), retries=5, atomic=True)
def board(event: DepartureEvent, message: Message) -> None:
    """How much each airport has announced, and which flight of it was scheduled last."""
    AirportBoard.objects.change(
        event["origin"], events=F("events") + 1, latest=Greatest("latest", Value(event["flight"]))
    )
    _record("board", event, message)


def _record(consumer: str, event: DepartureEvent, message: Message) -> None:
    count = message.delivery_info["delivery_count"]
    Effect.objects.create(consumer=consumer, flight=event["flight"], delivery_count=count)
