"""Kombu in a Django project: an ORM queue, consumers, and publishing that is part of the transaction."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kombu_django.publishing import publish
    from kombu_django.registry import consumer

__all__ = ["consumer", "publish"]

_HOMES = {"consumer": "kombu_django.registry", "publish": "kombu_django.publishing"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
