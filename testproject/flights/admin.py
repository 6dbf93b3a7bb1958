"""The records and the totals, to look at."""

from django.contrib import admin

from .models import AirportBoard, AirportCancellations, CarrierDelay, Effect, Flight


@admin.register(Flight)
class FlightAdmin(admin.ModelAdmin):
    list_display = ["date", "carrier", "number", "origin", "destination", "scheduled", "delay"]
    list_filter = ["date", "origin", "carrier"]
    search_fields = ["=number"]
    ordering = ["scheduled", "carrier", "number"]


@admin.register(CarrierDelay)
class CarrierDelayAdmin(admin.ModelAdmin):
    list_display = ["carrier", "departures", "minutes"]
    ordering = ["carrier"]


@admin.register(AirportCancellations)
class AirportCancellationsAdmin(admin.ModelAdmin):
    list_display = ["airport", "cancellations"]
    ordering = ["airport"]


@admin.register(AirportBoard)
class AirportBoardAdmin(admin.ModelAdmin):
    list_display = ["airport", "events", "latest"]
    ordering = ["airport"]


@admin.register(Effect)
class EffectAdmin(admin.ModelAdmin):
    list_display = ["consumer", "flight", "delivery_count"]
    list_filter = ["consumer", "delivery_count"]
    search_fields = ["flight"]
