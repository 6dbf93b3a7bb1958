"""What the site records, and what its consumers make of it."""

from __future__ import annotations

from django.db import models
from django.db.models.expressions import Combinable


class Flight(models.Model):
    """One departure, or one that was cancelled."""

    date = models.DateField(help_text="The day of the flight, at the airport.")
    carrier = models.CharField(max_length=2)
    number = models.PositiveSmallIntegerField()
    origin = models.CharField(max_length=3)
    scheduled = models.DateTimeField(help_text="When it should have departed.")
    destination = models.CharField(max_length=3)
    delay = models.SmallIntegerField(
        null=True, help_text="Minutes late; negative when it left early, nothing when it was cancelled."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["date", "carrier", "number", "origin", "scheduled"], name="flights_flight_natural_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.carrier}{self.number} {self.origin}-{self.destination}, {self.date}"


class Totals(models.QuerySet[models.Model]):
    """Rows that are summed up under a key of their own: a carrier, an airport."""

    def change(self, key: str, **changes: Combinable) -> None:
        """Change the row of ``key``, made first where this is the first of it: else one statement."""
        if not self.filter(pk=key).update(**changes):
            self.get_or_create(pk=key)
            self.filter(pk=key).update(**changes)


class CarrierDelay(models.Model):
    carrier = models.CharField(max_length=2, primary_key=True)
    departures = models.PositiveIntegerField(default=0)
    minutes = models.IntegerField(default=0, help_text="All delays together; early departures count against.")

    objects = Totals.as_manager()

    def __str__(self) -> str:
        return self.carrier


class AirportCancellations(models.Model):
    airport = models.CharField(max_length=3, primary_key=True)
    cancellations = models.PositiveIntegerField(default=0)

    objects = Totals.as_manager()

    class Meta:
        verbose_name_plural = "airport cancellations"

    def __str__(self) -> str:
        return self.airport


class AirportBoard(models.Model):
    airport = models.CharField(max_length=3, primary_key=True)
    events = models.PositiveIntegerField(default=0)
    latest = models.CharField(max_length=40, default="", help_text="The flight that was scheduled last.")

    objects = Totals.as_manager()

    def __str__(self) -> str:
        return self.airport


class Effect(models.Model):
    """That a consumer has dealt with a flight. Nothing forbids a second row: it would show the mistake."""

    consumer = models.CharField(max_length=40)
    flight = models.CharField(max_length=40)
    delivery_count = models.PositiveSmallIntegerField(help_text="1: it came at the first attempt.")

    class Meta:
        indexes = [models.Index(fields=["consumer", "flight"], name="flights_effect_of")]

    def __str__(self) -> str:
        return f"{self.consumer}: {self.flight}"
