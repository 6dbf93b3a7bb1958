"""Transports that lie to operators: one deliberate fault each."""

from __future__ import annotations

from typing import ClassVar

from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import VirtualConnection
from tests import faulty_stores as stores
from tests.faulty_transports.base import Faulty


class Operated(Faulty):
    """Its stores are ``Store``."""

    Store: ClassVar[type[MemoryStore]] = MemoryStore

    def establish_connection(self) -> VirtualConnection:
        connection = super().establish_connection()
        connection.store.__class__ = self.Store  # type: ignore[assignment]
        return connection


class _PausesInWordsOnly(MemoryStore):
    def pause(self, queue: str, paused: bool = True) -> bool:
        return queue in self.counts([queue])


class _PausesAnything(MemoryStore):
    def pause(self, queue: str, paused: bool = True) -> bool:
        super().pause(queue, paused)
        return True


class ShowsByTaking(Operated):
    Store = stores.BrowsesByClaiming


class ShowsTheFirstPageAgain(Operated):
    Store = stores.BrowsesFromTheStart


class StealsWhatIsHeld(Operated):
    Store = stores.StealsTheChosen


class RequeuesEverything(Operated):
    Store = stores.ChoosesEverything


class PausesInWordsOnly(Operated):
    Store = _PausesInWordsOnly


class PausesAnything(Operated):
    Store = _PausesAnything
