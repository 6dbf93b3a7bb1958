"""Reads departures from a CSV file, one line at a time, and believes none of it unseen."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

COLUMNS = (
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "carrier",
    "flight",
    "origin",
    "dest",
    "time_hour",
)
"""The columns that are read; a file may have more, in any order."""

CANCELLED = "NA"


class BadInput(ValueError):
    """A place in a file that cannot be read: ``str()`` of it names file, line and field."""

    def __init__(self, file: str, line: int, field: str, reason: str) -> None:
        super().__init__(file, line, field, reason)
        self.file, self.line, self.field, self.reason = file, line, field, reason

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, field {self.field}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A departure as the file tells it. ``delay`` is minutes, None when the flight was cancelled."""

    date: date
    scheduled: datetime
    carrier: str
    number: int
    origin: str
    destination: str
    delay: int | None

    @property
    def key(self) -> str:
        """The flight's name in events: all parts have one width, so text order is order in time."""
        return f"{self.scheduled:%Y-%m-%dT%H:%MZ} {self.carrier}{self.number:04d} {self.origin}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of data, unread. ``number`` counts the file's lines, ``row`` those with data, both from 1."""

    file: str
    number: int
    row: int
    raw: bytes
    columns: tuple[str, ...]

    def departure(self) -> Departure:
        """What the line says. Raises :class:`BadInput` for the first field that is wrong."""
        values = _split(self.file, self.number, self.raw, self.columns)
        if len(values) < len(self.columns):
            raise self._bad(self.columns[len(values)], "the line ends before it")
        if len(values) > len(self.columns):
            raise self._bad(self.columns[-1], f"more follows it: {values[len(self.columns)]!r}")
        fields = dict(zip(self.columns, values, strict=True))
        try:
            return _departure(fields)
        except _BadField as bad:
            raise self._bad(bad.field, bad.reason) from None

    def _bad(self, field: str, reason: str) -> BadInput:
        return BadInput(self.file, self.number, field, reason)


def read_lines(file: Iterable[bytes], name: str) -> Iterator[Line]:
    """The lines of data in ``file``, which is called ``name`` in errors; blank lines are passed over.

    Raises :class:`BadInput` when there is no header or a column is missing. A record is a line, also where
    it has quotes: an unclosed one spoils its own line and no other.
    """
    lines = enumerate(file, start=1)
    columns = _header(name, next(lines, (1, b""))[1])
    data = ((number, raw) for number, raw in lines if raw.strip())
    for row, (number, raw) in enumerate(data, start=1):
        yield Line(file=name, number=number, row=row, raw=raw, columns=columns)


def _header(name: str, raw: bytes) -> tuple[str, ...]:
    if not raw.strip():
        raise BadInput(name, 1, COLUMNS[0], "no header: the file is empty or begins with a blank line")
    columns = tuple(_split(name, 1, raw.removeprefix(b"\xef\xbb\xbf"), COLUMNS))
    for column in COLUMNS:
        if columns.count(column) != 1:
            reason = "the column is there twice" if column in columns else "the column is missing"
            raise BadInput(name, 1, column, reason)
    return columns


def _split(name: str, number: int, raw: bytes, columns: tuple[str, ...]) -> list[str]:
    try:
        return next(csv.reader([raw.decode().rstrip("\r\n")], strict=True))
    except UnicodeDecodeError as error:
        place = min(raw.count(b",", 0, error.start), len(columns) - 1)
        raise BadInput(name, number, columns[place], f"not UTF-8: byte 0x{raw[error.start]:02x}") from None
    except csv.Error as error:
        place = min(raw.count(b",", 0, raw.find(b'"') + 1), len(columns) - 1)
        raise BadInput(name, number, columns[place], f"not CSV: {error}") from None


def _departure(fields: Mapping[str, str]) -> Departure:
    return Departure(
        date=_date(fields),
        scheduled=_scheduled(fields),
        carrier=_code(fields, "carrier", _CARRIER),
        number=_number(fields, "flight", 1, 9999),
        origin=_code(fields, "origin", _AIRPORT),
        destination=_code(fields, "dest", _AIRPORT),
        delay=_delay(fields),
    )


def _date(fields: Mapping[str, str]) -> date:
    year = _number(fields, "year", 1900, 2999)
    month = _number(fields, "month", 1, 12)
    day = _number(fields, "day", 1, 31)
    try:
        return date(year, month, day)
    except ValueError:
        raise _BadField("day", f"{day} is no day of {year}-{month:02d}") from None


def _scheduled(fields: Mapping[str, str]) -> datetime:
    """``time_hour`` is the hour of departure in UTC, ``sched_dep_time`` HMM at the airport."""
    text = fields["time_hour"]
    try:
        hour = datetime.fromisoformat(text)
    except ValueError:
        raise _BadField("time_hour", f"{text!r} is not a time like 2013-01-01T10:00:00Z") from None
    if hour.utcoffset() != timedelta():
        raise _BadField("time_hour", f"{text!r} does not end in Z: it must be in UTC")
    return hour.replace(minute=_clock(fields, "sched_dep_time") % 100, second=0, microsecond=0)


def _delay(fields: Mapping[str, str]) -> int | None:
    if fields["dep_time"] == CANCELLED:
        if fields["dep_delay"] != CANCELLED:
            raise _BadField("dep_delay", f"{fields['dep_delay']!r}, though dep_time is {CANCELLED}")
        return None
    _clock(fields, "dep_time")
    return _number(fields, "dep_delay", -1440, 14400)


def _clock(fields: Mapping[str, str], field: str) -> int:
    """A time of day as HMM or HHMM; 2400 is midnight."""
    value = _number(fields, field, 0, 2400)
    if value % 100 > 59:
        raise _BadField(field, f"{value} is no time of day")
    return value


def _number(fields: Mapping[str, str], field: str, least: int, most: int) -> int:
    text = fields[field]
    if not _WHOLE.fullmatch(text):
        raise _BadField(field, f"{text!r} is not a whole number")
    if not least <= (value := int(text)) <= most:
        raise _BadField(field, f"{text} is not within {least} and {most}")
    return value


def _code(fields: Mapping[str, str], field: str, pattern: re.Pattern[str]) -> str:
    text = fields[field]
    if not pattern.fullmatch(text):
        raise _BadField(field, f"{text!r} does not look like {pattern.pattern}")
    return text


_WHOLE = re.compile(r"-?[0-9]{1,9}")
_CARRIER = re.compile(r"[A-Z0-9]{2}")
_AIRPORT = re.compile(r"[A-Z]{3}")


class _BadField(Exception):
    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason
