"""What the site tells others about its departures."""

from __future__ import annotations

from typing import TypedDict

from kombu_django import publish

from .departures import Departure

EXCHANGE = "departures"


class DepartureEvent(TypedDict):
    """The body of an event; ``delay`` is minutes, None in ``….cancelled``."""

    flight: str
    carrier: str
    origin: str
    destination: str
    delay: int | None


def announce(departure: Departure) -> None:
    """Publish the event, as part of the open transaction, under ``<origin>.<carrier>.departed`` or
    ``….cancelled``."""
    event = DepartureEvent(
        flight=departure.key,
        carrier=departure.carrier,
        origin=departure.origin,
        destination=departure.destination,
        delay=departure.delay,
    )
    what = "cancelled" if departure.delay is None else "departed"
    publish(event, exchange=EXCHANGE, routing_key=f"{departure.origin}.{departure.carrier}.{what}")
