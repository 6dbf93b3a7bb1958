"""``manage.py import_departures``: records the departures of a CSV file and tells others about them."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, IntegrityError, transaction

from flights.departures import BadInput, Departure, Line, read_lines
from flights.events import announce
from flights.models import Flight
from kombu.exceptions import KombuError

Outcome = Literal["imported", "already there", "rolled back", "bad"]


class RolledBack(Exception):
    """Raised on purpose, when flight and event are both written: neither may be seen by anybody."""


class Command(BaseCommand):
    help = "Records departures and publishes an event of each. May be stopped and run again at any time."

    def add_arguments(self, parser: CommandParser) -> None:
        week = settings.SITE / "data" / "nyc-departures-week1.csv"
        parser.add_argument("file", nargs="?", type=Path, default=week, help="CSV file (one week of 2013)")
        parser.add_argument(
            "--rollback-every", type=_positive, metavar="N", help="let every N-th row's transaction fail"
        )
        parser.add_argument("--keep-going", action="store_true", help="pass over bad lines and report them at the end")

    def handle(self, *, file: Path, rollback_every: int | None, keep_going: bool, **options: object) -> None:
        self.counts: Counter[Outcome] = Counter()
        self.bad: list[BadInput] = []
        started = time.perf_counter()
        try:
            with _open(file) as content:
                for line in read_lines(content, str(file)):
                    self._import(line, rollback_every, keep_going)
        except BadInput as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            raise CommandError(f"{file}: stopped; run it again to go on", returncode=130) from None
        finally:
            self._report(time.perf_counter() - started)
        if self.bad:
            raise CommandError("\n".join(map(str, self.bad)))

    def _import(self, line: Line, rollback_every: int | None, keep_going: bool) -> None:
        fail = rollback_every is not None and line.row % rollback_every == 0
        try:
            self.counts[record(line.departure(), fail=fail)] += 1
        except BadInput as error:
            if not keep_going:
                raise
            self.bad.append(error)
            self.counts["bad"] += 1
        except (DatabaseError, KombuError) as error:
            raise CommandError(f"{line.file}, line {line.number}: {error}") from error

    def _report(self, seconds: float) -> None:
        rows = self.counts.total()
        outcomes = ", ".join(
            f"{what} {self.counts[what]}" for what in ("imported", "already there", "rolled back", "bad")
        )
        self.stdout.write(f"{outcomes} of {rows} rows in {seconds:.2f} s ({rows / seconds:.0f} a second)")


def record(departure: Departure, *, fail: bool = False) -> Outcome:
    """Save the flight and announce it, both or neither; ``fail`` rolls both back at the end.

    A flight that is there already was announced in the transaction that brought it.
    """
    flight = _flight(departure)
    try:
        with transaction.atomic():
            flight.save(force_insert=True)
            announce(departure)
            if fail:
                raise RolledBack
    except RolledBack:
        return "rolled back"
    except IntegrityError:  # looked into only now: asking first would cost every new flight a query
        if not _is_there(flight):
            raise
        return "already there"
    return "imported"


def _flight(departure: Departure) -> Flight:
    return Flight(
        date=departure.date,
        carrier=departure.carrier,
        number=departure.number,
        origin=departure.origin,
        scheduled=departure.scheduled,
        destination=departure.destination,
        delay=departure.delay,
    )


def _is_there(flight: Flight) -> bool:
    return Flight.objects.filter(
        date=flight.date,
        carrier=flight.carrier,
        number=flight.number,
        origin=flight.origin,
        scheduled=flight.scheduled,
    ).exists()


@contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    """The file, with a progress bar on standard error while it is read, if that is a terminal."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import open as open_with_bar

        console = Console(stderr=True)
        with open_with_bar(file, "rb", description=f"importing {file.name}", console=console) as content:
            yield content
    else:
        with file.open("rb") as content:
            yield content


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return value
