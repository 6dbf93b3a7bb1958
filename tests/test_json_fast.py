"""orjson and the standard library write and read the same: whatever one refuses, the other refuses."""

from __future__ import annotations

import enum
import json
import math
import os
import random
import string
import subprocess
import sys
import tracemalloc
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from kombu.exceptions import DecodeError, EncodeError, SerializerNotInstalled
from kombu.utils import json as kombu_json
from kombu.utils.json import engine, fast, stdlib
from kombu.utils.json.plain import is_plain

ORJSON, STDLIB = engine("orjson"), engine("stdlib")


class Colour(enum.Enum):
    RED = "red"
    NAN = math.nan
    ID = UUID(int=7)


class Level(enum.IntEnum):
    HIGH = 3


class Mood(str, enum.Enum):  # noqa: UP042 - the older way is what people have
    GOOD = "good"


class Text(str):
    __slots__ = ()


class Number(int):
    pass


@dataclass
class Line:
    x: object


Point = namedtuple("Point", "x y")

NUMBERS = [0, -1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**40]
FLOATS = [-0.0, 0.1, 1e-7, 5e-324, 1e16, 1e22, 1.7976931348623157e308, 2.0**63, 2.0**63 - 1024, -(2.0**70), 1 / 3]
NO_NUMBERS = [math.nan, math.inf, -math.inf]
TEXTS = ["", "ü€😀", "\x00\x1f\x7f\u2028\ufeff", "\ud800", "\ude00\ud83d", '\\"/', "null", "__type__", "x" * 5000]
OTHERS: list[object] = [
    *[b"", b"\xff", bytearray(b"a"), Decimal("1.10"), Decimal("NaN"), UUID(int=1), timedelta(1, 2, 3)],
    *[date(2024, 2, 29), time(1, 2), datetime(2024, 1, 1, tzinfo=UTC)],
    datetime(2024, 1, 1, 1, 1, 1, 5, timezone(timedelta(hours=5, minutes=30))),
    *[{1, 2}, frozenset({"a"}), Point(1, 2), Line(None), OrderedDict(a=1), Text("t"), Number(5)],
    *[Colour.RED, Colour.ID, Level.HIGH, Mood.GOOD],
    *[{"__type__": "x", "__value__": 1}, {"__type__": "date"}, {"__type__": "date", "__value__": "2024-01-01"}],
]
REFUSED: list[object] = [object(), Colour.NAN, {object()}, {(1, 2): 3}, {b"k": 1}, lambda: None, orjson.Fragment(b"{}")]


def a_value(dice: random.Random, levels: int = 4) -> object:
    """Anything, mostly ordinary."""
    kinds: list[Callable[[], object]] = [
        lambda: dice.choice([None, True, False]),
        lambda: dice.choice(NUMBERS) if dice.random() < 0.2 else dice.randrange(-1000, 1000),
        lambda: dice.choice(FLOATS) if dice.random() < 0.5 else dice.uniform(-1e6, 1e6),
        lambda: dice.choice(TEXTS) if dice.random() < 0.3 else "".join(dice.choices(string.printable, k=8)),
        lambda: dice.choice(OTHERS),
        lambda: dice.choice(NO_NUMBERS + REFUSED) if dice.random() < 0.02 else 1,
    ]
    if levels and dice.random() < 0.6:
        size = dice.randrange(5)
        if dice.random() < 0.5:
            return {a_key(dice): a_value(dice, levels - 1) for _ in range(size)}
        return dice.choice([list, tuple])(a_value(dice, levels - 1) for _ in range(size))
    return dice.choice(kinds)()


def a_key(dice: random.Random) -> object:
    odd = [*NUMBERS, *FLOATS, None, True, Mood.GOOD, Level.HIGH, Text("t"), "\ud800", "__type__", "__value__"]
    return dice.choice(odd) if dice.random() < 0.1 else dice.choice(string.ascii_letters)


def outcome(work: Callable[[Any], object], given: object) -> object:
    """What comes of it, told apart by types too; an error is told by its class and text."""
    try:
        found = work(given)
        return found if isinstance(found, bytes) else exactly(found)
    except (EncodeError, DecodeError) as exc:
        return type(exc), str(exc)


def exactly(value: object) -> object:
    """A form that tells -0.0 from 0.0, 1 from 1.0 and True, and a tuple from a list; of any depth."""
    parts: list[object] = []
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            parts.append((type(each), list(each)))
            left.extend(each.values())
        elif isinstance(each, list | tuple):
            parts.append((type(each), len(each)))
            left.extend(each)
        else:
            parts.append((type(each), repr(each) if isinstance(each, float | Decimal) else each))
    return parts


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_by_either_means_the_same_to_both(seed: int) -> None:
    dice = random.Random(seed)
    written = 0
    for _ in range(150):
        value = a_value(dice)
        quick, slow = outcome(ORJSON.encode, value), outcome(STDLIB.encode, value)
        if not isinstance(quick, bytes) or not isinstance(slow, bytes):
            assert quick == slow
            continue
        written += 1
        assert exactly(json.loads(quick)) == exactly(json.loads(slow))
        readings = [outcome(read, text) for read in (ORJSON.loads, STDLIB.loads) for text in (quick, slow)]
        assert all(each == readings[0] for each in readings)
    assert written > 100


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=f"{place} {type(value).__name__}")
        for place, value in enumerate([*NUMBERS, *FLOATS, *NO_NUMBERS, *TEXTS, *OTHERS, *REFUSED])
    ],
)
@pytest.mark.parametrize("wrapped", [lambda v: v, lambda v: [v], lambda v: {"a": v}, lambda v: ({"a": [v, None]},)])
def test_each_odd_value_is_the_same_to_both(value: object, wrapped: Callable[[object], object]) -> None:
    def through(chosen: kombu_json.Engine) -> Callable[[object], object]:
        return lambda obj: chosen.loads(chosen.encode(obj))

    assert outcome(through(ORJSON), wrapped(value)) == outcome(through(STDLIB), wrapped(value))


BODIES = [
    *[
        "",
        " ",
        "nul",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "[1e999]",
        "-1e999",
        "-0",
        "-0.0",
        "1.0",
        "01",
        "1.",
        ".5",
        "+1",
    ],
    *["9223372036854775807", "18446744073709551615", "18446744073709551616", "-9223372036854775809", "9" * 5000],
    *["[9223372036854775808.0]", "1e400", "5e-324", "1e-400", "123456789012345678901234567890.5", "12E3"],
    *['"\\ud800"', '"\\ude00\\ud83d"', '"\\ud83d\\ude00"', '"\x00"', '"a\nb"', '"\\x"', "'a'", '"a', '"\\u00"'],
    *['{"a":1,"a":2}', "[1,]", '{"a":1,}', "{a:1}", "{1:2}", "1 2", "[1]\x00", "\ufeff1", "\xa01", "//x\n1", " [ 1 ] "],
    *['{"__type__":"date","__value__":"2024-01-01"}', '{"__type__":"new","__value__":[1]}', '{"__type__":"date"}'],
    '{"__type__":"date","__value__":"x"}',
    '{"\\u005f_type__":"date","__value__":"2024-01-01"}',
    '{"\\u005f_type__":"date","__value__":"2024-01-01","__type__":"time"}',
    '[{"\\u005f_type__":"date","__value__":"2024-01-01"},"__type__"]',
    *["[" * 150 + "]" * 150, "[" * 5000, "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000],
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: ascii(body)[:30])
def test_every_body_is_read_or_refused_alike(body: str) -> None:
    expected = outcome(STDLIB.loads, body)
    assert outcome(ORJSON.loads, body) == expected
    assert outcome(ORJSON.loads, body.encode()) == outcome(STDLIB.loads, body.encode()) == expected
    assert outcome(ORJSON.loads, memoryview(body.encode())) == expected


@pytest.mark.parametrize("body", [b"\xff", b'"\xed\xa0\x80"', b'"\xc3"', '"\ud800"', b"\xff\xfe1\x00"], ids=ascii)
def test_what_is_not_utf8_is_read_or_refused_alike(body: str | bytes) -> None:
    assert outcome(ORJSON.loads, body) == outcome(STDLIB.loads, body)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bodies_are_read_or_refused_alike(seed: int) -> None:
    dice = random.Random(seed)
    sound = ORJSON.encode({"a": [1, 2.5, None, "ü\\n", date(2024, 1, 1)], "b": {"c": [True, 10**20]}, "d": "\ud800"})
    for _ in range(200):
        body = bytearray(sound)
        for _ in range(dice.randrange(1, 4)):
            body[dice.randrange(len(body))] = dice.choice(b'{}[]",:0123456789eE+-.\\u \x00\xff_tn')
        cut = bytes(body[: dice.randrange(len(body) + 1)]) if dice.random() < 0.3 else bytes(body)
        assert outcome(ORJSON.loads, cut) == outcome(STDLIB.loads, cut), cut


def test_an_ordinary_document_never_needs_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(given: object) -> object:
        raise AssertionError("the slow way was taken")

    monkeypatch.setattr(fast.stdlib, "encode", never)
    monkeypatch.setattr(fast.stdlib, "loads", never)
    document = {"id": "x", "args": [1, 2.5, None, True, "ü", (1,)], "kwargs": {"a": {"b": "c"}}}
    assert fast.loads(fast.encode(document)) == {**document, "args": [1, 2.5, None, True, "ü", [1]]}
    dated = fast.encode({"on": date(2024, 1, 1)})
    monkeypatch.undo()
    assert fast.loads(dated) == {"on": date(2024, 1, 1)}


@pytest.mark.parametrize(
    "value", [1, "a", None, [UUID(int=1)], [Level.HIGH], [Text()], [2.0**63], [math.nan], {"a": {"__type__": 1}}, [{1}]]
)
def test_what_is_not_plain_is_looked_at_more_closely(value: object) -> None:
    assert not is_plain(value)
    assert not is_plain([{"a": (1, 2, [3])}], 3)
    assert is_plain([{"a": (1, 2, [3])}], 4)


def test_the_environment_chooses_the_engine() -> None:
    assert engine().encode is fast.encode
    assert engine("").encode is fast.encode
    assert engine("orjson").loads is fast.loads
    assert engine("stdlib").loads is stdlib.loads


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SerializerNotInstalled, match=r"KOMBU_JSON='ujson': .* known are orjson, stdlib"):
        engine("ujson")


def chosen_in_a_process(
    environment: dict[str, str], *, without_orjson: bool = False
) -> subprocess.CompletedProcess[str]:
    program = "import sys;" + ("sys.modules['orjson'] = None;" if without_orjson else "")
    program += "from kombu import serialization; from kombu.utils import json; print(json.encode.__module__)"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**{key: value for key, value in os.environ.items() if key != "KOMBU_JSON"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "without_orjson", "module"),
    [
        ({}, False, "kombu.utils.json.fast"),
        ({}, True, "kombu.utils.json.stdlib"),
        ({"KOMBU_JSON": ""}, True, "kombu.utils.json.stdlib"),
        ({"KOMBU_JSON": "stdlib"}, False, "kombu.utils.json.stdlib"),
        ({"KOMBU_JSON": "orjson"}, False, "kombu.utils.json.fast"),
    ],
)
def test_a_process_takes_orjson_where_it_is_installed(
    environment: dict[str, str], without_orjson: bool, module: str
) -> None:
    done = chosen_in_a_process(environment, without_orjson=without_orjson)
    assert done.stdout.strip() == module, done.stderr


@pytest.mark.parametrize(
    ("name", "without_orjson", "text"),
    [
        ("orjson", True, "KOMBU_JSON=orjson: pip install 'kombu[fast]'"),
        ("simplejson", False, "KOMBU_JSON='simplejson': no such JSON engine; known are orjson, stdlib"),
    ],
)
def test_an_engine_that_cannot_be_had_is_a_clear_error(name: str, without_orjson: bool, text: str) -> None:
    done = chosen_in_a_process({"KOMBU_JSON": name}, without_orjson=without_orjson)
    assert done.returncode != 0
    assert text in done.stderr


def test_what_is_written_keeps_no_more_memory_than_it_needs() -> None:
    tracemalloc.start()
    try:
        written = [ORJSON.encode({"i": number}) for number in range(1000)]
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(written) == 1000
    assert kept < 200_000
