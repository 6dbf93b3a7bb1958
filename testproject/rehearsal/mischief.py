"""Kills the demo's processes while they work."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Protocol

from .observe import Glance
from .supervise import Child, Crew


@dataclass(slots=True)
class Cast:
    """Who is at work: the latest process of every part. ``relays`` only where there is an outbox."""

    crew: Crew
    consumers: list[Child]
    relays: list[Child]
    importer: Child
    import_command: tuple[str, ...]

    def importer_finished(self) -> bool:
        """Whether the import came to its end. Raises :class:`DemoFailed` if that was a bad one."""
        if self.importer.running:
            return False
        self.crew.ended(self.importer, timeout=0)
        return True

    def check(self) -> None:
        """Raise unless everybody else is at work."""
        self.crew.check([*self.consumers, *self.relays])

    def replace_consumer(self, number: int) -> Child:
        killed = self.consumers[number]
        self.crew.kill(killed)
        self.consumers[number] = self.crew.start("consumer", "kombu_consume")
        return killed

    def replace_relay(self, number: int) -> Child:
        killed = self.relays[number]
        self.crew.kill(killed)
        self.relays[number] = self.crew.start("relay", "kombu_relay")
        return killed

    def replace_importer(self) -> Child:
        killed = self.importer
        self.crew.kill(killed)
        self.importer = self.crew.start("importer", *self.import_command)
        return killed


class Mischief(Protocol):
    """``step`` is called again and again, and does harm when its time has come, until it is ``done``."""

    @property
    def done(self) -> bool: ...

    def step(self, cast: Cast, glance: Glance, note: Callable[[str], None]) -> None: ...


@dataclass(slots=True)
class OneKill:
    """Kills a consumer once ``at`` flights are there and effects come in, and starts another."""

    at: int
    effects: int = field(default=0, init=False)
    done: bool = field(default=False, init=False)

    def step(self, cast: Cast, glance: Glance, note: Callable[[str], None]) -> None:
        idle = glance.effects == self.effects and not glance.drained
        self.effects = glance.effects
        if self.done or glance.imported < self.at or idle:
            return
        self.done = True
        killed = cast.replace_consumer(0)
        note(f"killed {killed.name} (SIGKILL) at {glance.imported} flights; started {cast.consumers[0].name}")


@dataclass(slots=True)
class Chaos:
    """Kills any process, again and again, ``kills`` times in all, and starts it anew."""

    kills: int
    random: Random
    next: float = field(default_factory=lambda: time.monotonic() + 1)

    @property
    def done(self) -> bool:
        return self.kills == 0

    def step(self, cast: Cast, glance: Glance, note: Callable[[str], None]) -> None:
        if self.done or time.monotonic() < self.next:
            return
        self.kills -= 1
        self.next = time.monotonic() + self.random.uniform(0.2, 2.0)
        killed = self.random.choice(self._victims(cast))()
        note(f"killed {killed.name} ({signal.SIGKILL.name}) at {glance.imported} flights")

    def _victims(self, cast: Cast) -> list[Callable[[], Child]]:
        victims: list[Callable[[], Child]] = [
            *(partial(cast.replace_consumer, number) for number in range(len(cast.consumers))),
            *(partial(cast.replace_relay, number) for number in range(len(cast.relays))),
        ]
        return [*victims, cast.replace_importer] if cast.importer.running else victims
