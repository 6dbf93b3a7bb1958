"""One way from an empty folder to the numbers."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from .mischief import Cast, Chaos, Mischief, OneKill
from .observe import Glance, Observer, let_go
from .recompute import Expected, recompute
from .report import Result, Screen
from .supervise import Child, Crew, DemoFailed

WAYS = {"same-database": "same database", "outbox": "outbox"}
SITE = Path(__file__).resolve().parent.parent
WEEK = SITE / "data" / "nyc-departures-week1.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says. ``deadline`` is seconds for one way, ``lease`` seconds that a killed
    consumer keeps its messages; ``kills`` and ``seed`` are for chaos."""

    rows: int | None
    rollback_every: int
    consumers: int
    lease: float
    deadline: float
    kills: int
    seed: int
    data: Path


def run_way(way: str, options: Options, screen: Screen) -> Result:
    """Import, kill, drain, stop and compare. Raises :class:`DemoFailed` where a process does not do its
    part."""
    began = time.monotonic()
    data = _fresh_folder(options.data.resolve() / way)
    screen.say(f"{WAYS[way]}: in {data}")
    file = _first_rows(options.rows, data) if options.rows else WEEK
    expected = recompute(file, options.rollback_every)
    with Crew(_environment(way, data, options.lease), data / "logs") as crew:
        _migrate(crew, way)
        with Observer(data, outbox=way == "outbox") as observer:
            cast = _begin(crew, way, file, options)
            started = time.monotonic()
            _work(cast, observer, expected, options, screen)
            seconds = time.monotonic() - started
            _stop(cast)
            return Result(
                title=WAYS[way],
                expected=expected,
                found=observer.totals(),
                rolled_back=_number(r"rolled back (\d+)", cast.importer.last_line),
                redelivered=observer.redelivered(),
                skipped=sum(_number(r"duplicates skipped (\d+)", line) for line in crew.last_lines("consumer")),
                rate=_number(r"\((\d+) a second\)", cast.importer.last_line),
                memory=crew.peak_memory("consumer"),
                seconds=seconds,
                in_all=time.monotonic() - began,
            )


def _fresh_folder(data: Path) -> Path:
    """The way's data folder, emptied."""
    for path in (data / "site.sqlite3", data / "queue.sqlite3"):
        if not let_go(path):
            raise DemoFailed(f"{path} is in use: stop the processes that have it open, and start again")
    if data.exists():
        shutil.rmtree(data)
    (data / "logs").mkdir(parents=True)
    return data


def _first_rows(rows: int, data: Path) -> Path:
    """A file with the beginning of the week."""
    file = data / "departures.csv"
    with WEEK.open("rb") as week:
        file.write_bytes(b"".join(islice(week, rows + 1)))
    return file


def _environment(way: str, data: Path, lease: float) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("FLIGHTS_")}
    return mine | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "FLIGHTS_WAY": way,
        "FLIGHTS_DATA": str(data),
        "FLIGHTS_LEASE": str(lease),
    }


def _migrate(crew: Crew, way: str) -> None:
    crew.run("migrate", "--verbosity", "0")
    if way == "outbox":
        crew.run("migrate", "--verbosity", "0", "--database", "queue")


def _begin(crew: Crew, way: str, file: Path, options: Options) -> Cast:
    """Start everybody, the importer last."""
    consumers = [crew.start("consumer", "kombu_consume") for _ in range(options.consumers)]
    relays = [crew.start("relay", "kombu_relay")] if way == "outbox" else []
    _ready(crew, consumers, relays)
    command = ("import_departures", str(file), "--rollback-every", str(options.rollback_every))
    importer = crew.start("importer", *command)
    return Cast(crew=crew, consumers=consumers, relays=relays, importer=importer, import_command=command)


def _ready(crew: Crew, consumers: Sequence[Child], relays: Sequence[Child]) -> None:
    crew.ready(consumers, "consuming: ")
    crew.ready(relays, "relaying: ")


def _work(cast: Cast, observer: Observer, expected: Expected, options: Options, screen: Screen) -> None:
    """Look on, and do harm, until all is imported and nothing waits any more."""
    flights, effects = len(expected.totals.flights), expected.totals.effects.total()
    mischief = _mischief(options, flights)
    watch = _Watch(deadline=options.deadline, patience=45 + 3 * options.lease)
    with screen.progress(flights, effects) as meter:
        while True:
            finished = cast.importer_finished()
            glance = observer.glance()
            meter.show(glance)
            if finished and glance.drained and mischief.done:
                return
            cast.check()
            mischief.step(cast, glance, screen.say)
            watch.look(glance, lambda: _what_is_left(cast.crew))
            time.sleep(0.1)


def _stop(cast: Cast) -> None:
    """SIGTERM to all, once those are ready that were started last: before that it would just end them."""
    _ready(cast.crew, cast.consumers, cast.relays)
    cast.crew.stop([*cast.relays, *cast.consumers])


def _mischief(options: Options, flights: int) -> Mischief:
    if options.kills:
        return Chaos(kills=options.kills, random=Random(options.seed))
    return OneKill(at=flights // 2)


@dataclass(slots=True)
class _Watch:
    """Raises after ``deadline`` seconds in all, or ``patience`` seconds without any change."""

    deadline: float
    patience: float
    last: Glance | None = None
    started: float = field(default_factory=time.monotonic)
    changed: float = field(default_factory=time.monotonic)

    def look(self, glance: Glance, explain: Callable[[], str]) -> None:
        now = time.monotonic()
        if glance != self.last:
            self.last, self.changed = glance, now
        if now - self.started > self.deadline:
            raise DemoFailed(f"not done after {self.deadline:.0f} s: {glance}\n{explain()}")
        if now - self.changed > self.patience:
            raise DemoFailed(f"nothing has moved for {self.patience:.0f} s: {glance}\n{explain()}")


def _what_is_left(crew: Crew) -> str:
    """The queues that hold something, the dead-letter queues above all."""
    try:
        queues = json.loads(crew.run("kombu_queues", "--json"))
    except DemoFailed as failure:
        return str(failure)
    return "\n".join(
        f"  {queue['queue']}: ready {queue['ready']}, delayed {queue['delayed']}, leased {queue['leased']}"
        for queue in queues
        if queue["ready"] or queue["delayed"] or queue["leased"]
    )


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0
