"""JSON that brings back what was sent, and says where it cannot."""

from __future__ import annotations

import enum
import json as stdlib_json
import math
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from kombu.exceptions import DecodeError, EncodeError
from kombu.utils.json import JSONEncoder, dumps, engine, loads, marked, register_type


@pytest.fixture(params=["orjson", "stdlib"], autouse=True)
def _both_engines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = engine(request.param)
    here = sys.modules[__name__]
    monkeypatch.setattr(here, "dumps", lambda obj: chosen.encode(obj).decode())
    monkeypatch.setattr(here, "loads", chosen.loads)


@pytest.fixture
def own_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test registers is forgotten after it."""
    monkeypatch.setattr(marked, "_encoders", dict(marked._encoders))
    monkeypatch.setattr(marked, "_decoders", dict(marked._decoders))


NAIVE = datetime.fromisoformat("2024-02-29T12:30:01.000005")
PARIS_SUMMER = timezone(timedelta(hours=2))


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Mood(str, enum.Enum):  # noqa: UP042 - the older way is what people have
    GOOD = "good"


class Unit(int, enum.Enum):
    """Its value is not what its base says."""

    METRE = 1, "m"

    def __new__(cls, number: int, symbol: str) -> Unit:
        unit = int.__new__(cls, number)
        unit._value_ = symbol  # type: ignore[assignment]
        return unit


@dataclass
class Line:
    x: object
    when: date | None = None


@dataclass(frozen=True)
class Frozen:
    x: int


class Stamp(datetime):
    pass


class Price:
    def __json__(self) -> object:
        return {"amount": Decimal("1.50")}


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "ü€😀",
        1.5,
        10**30,
        [],
        {"a": [1, {"b": None}]},
        NAIVE,
        datetime(2024, 2, 29, 12, tzinfo=UTC),
        datetime(2024, 7, 1, 12, tzinfo=PARIS_SUMMER),
        date(2024, 2, 29),
        time(12, 30, 1, 5),
        time(12, tzinfo=PARIS_SUMMER),
        timedelta(days=-1, microseconds=7),
        timedelta.max,
        Decimal("1.10"),
        UUID("12345678123456781234567812345678"),
        b"text",
        b"\xff\x00binary",
        b"",
        {1, 2},
        {(1, (2, 3)), "a"},
        frozenset({"a"}),
        {frozenset({1}), date(2024, 1, 1)},
        {"nested": [{"at": NAIVE, "raw": [b"\xff"]}]},
        "half a pair: \ud800",
        ["\ud800", date(2024, 1, 1)],
    ],
)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    back = loads(dumps(value))
    assert back == value
    assert type(back) is type(value)


def test_the_zone_of_a_datetime_is_kept() -> None:
    back = loads(dumps(datetime(2024, 7, 1, 12, tzinfo=PARIS_SUMMER)))
    assert isinstance(back, datetime)
    assert back.utcoffset() == timedelta(hours=2)


def test_the_text_is_compact_and_readable() -> None:
    assert dumps({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'
    assert dumps(b"abc") == '{"__type__":"bytes","__value__":"abc"}'
    assert dumps(b"\xff") == '{"__type__":"base64","__value__":"/w=="}'


def test_the_text_always_has_a_utf8_form() -> None:
    assert dumps("\ud800").encode() == b'"\\ud800"'


def test_bytes_are_read_as_utf8() -> None:
    assert loads('{"a":"ü"}'.encode()) == {"a": "ü"}


def test_enums_dataclasses_and_json_methods_are_written_plainly() -> None:
    assert loads(dumps([Colour.RED, Level.HIGH, Mood.GOOD, Unit.METRE])) == ["red", 3, "good", "m"]
    assert loads(dumps(Line(Line(1), date(2024, 1, 1)))) == {
        "x": {"x": 1, "when": None},
        "when": date(2024, 1, 1),
    }
    assert loads(dumps(Price())) == {"amount": Decimal("1.50")}


def test_a_json_method_counts_for_subclasses_of_jsons_own_types_too() -> None:
    class Route(namedtuple("Route", "start end")):
        def __json__(self) -> object:
            return f"{self.start}-{self.end}"

    class Loud(enum.Enum):
        RED = "red"

        def __json__(self) -> object:
            return self.value.upper()

    assert loads(dumps({"r": Route("A", "B"), "l": Loud.RED})) == {"r": "A-B", "l": "RED"}


@pytest.mark.parametrize("value", [bytearray(b"ab"), memoryview(b"\xff"), memoryview(b"abcd")[::2]])
def test_whatever_is_bytes_comes_back_as_bytes(value: Any) -> None:
    assert loads(dumps({"raw": value})) == {"raw": bytes(value)}


def test_keys_become_text() -> None:
    keys: dict[object, int] = {1: 1, None: 2, False: 3, 1.5: 4, Mood.GOOD: 5, 2**70: 6}
    assert dumps(keys) == f'{{"1":1,"null":2,"false":3,"1.5":4,"good":5,"{2**70}":6}}'
    with_a_date = loads(dumps({**keys, "on": NAIVE}))
    assert isinstance(with_a_date, dict)
    assert list(with_a_date) == ["1", "null", "false", "1.5", "good", str(2**70), "on"]


def test_a_subclass_is_written_as_what_it_extends() -> None:
    assert loads(dumps(Stamp(2024, 1, 1, tzinfo=UTC))) == datetime(2024, 1, 1, tzinfo=UTC)
    assert loads(dumps([Point(1, 2), OrderedDict(a=1)])) == [[1, 2], {"a": 1}]

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "not this"

    class Ratio(float):
        __slots__ = ()

    assert loads(dumps([Text("this"), Ratio(0.5), {Text("k"): 1}])) == ["this", 0.5, {"k": 1}]


def test_an_items_method_of_a_dicts_subclass_is_asked() -> None:
    class Upper(dict[str, int]):
        def items(self) -> Any:
            return [(key.upper(), value) for key, value in super().items()]

    assert loads(dumps({"x": Upper(a=1)})) == {"x": {"A": 1}}


@pytest.mark.parametrize(
    "value",
    [
        {"__type__": "datetime", "__value__": "not one"},
        {"__type__": "dict", "__value__": [["a", 1]]},
        {"__type__": 1, "__value__": {"__type__": "date", "__value__": date(2024, 1, 1)}},
        [b"\xff", {"deep": {"__type__": None, "__value__": {"__type__": "x", "__value__": 1}}}],
        {"__type__": "date", "__value__": "2024-01-01", "more": 1},
        {"__type__": "date"},
        {"__value__": 1},
        ["__type__", {"a": "__type__"}, '"__type__"'],
        {"__type__": "x", "__value__": "\ud800"},
    ],
)
def test_an_object_that_looks_like_a_marked_one_is_unharmed(value: object) -> None:
    assert loads(dumps(value)) == value
    assert loads(dumps(loads(dumps(value)))) == value


def test_an_unknown_marker_leaves_the_plain_object() -> None:
    text = '{"__type__":"from the future","__value__":[1]}'
    assert loads(text) == {"__type__": "from the future", "__value__": [1]}


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_what_is_no_number_in_json_is_refused_where_it_is_read_too(text: str) -> None:
    with pytest.raises(DecodeError, match="no number"):
        loads(text)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_json_number_is_refused(number: float) -> None:
    with pytest.raises(EncodeError, match=r"not a JSON number: \$\.a\[0\]"):
        dumps({"a": [number]})
    with pytest.raises(EncodeError, match="not a JSON number"):
        dumps({number: 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"order": {"lines": [1, 2, Line(object())]}}, r"builtins\.object .*: \$\.order\.lines\[2\]\.x"),
        ({"a b": {3: object()}}, r"\$\['a b'\]\[3\]"),
        ({"t": {1, object()}}, r"object .*: \$\.t\[\d\]"),
        ([{(1, 2): 3}], r"a key of type tuple .*: \$\[0\]"),
        ({"s": {Fraction(1)}}, r"fractions\.Fraction"),
        (object, "type has no JSON form"),
    ],
)
def test_what_has_no_json_form_is_named_with_its_path(value: object, text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        dumps(value)


@pytest.mark.parametrize("value", [{Frozen(1)}, {(1, Frozen(1))}, [frozenset({(Frozen(1),)})]])
def test_a_set_that_could_not_be_read_back_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(EncodeError, match="a list can"):
        dumps(value)


def test_an_object_that_fails_to_describe_itself_is_named_with_its_path() -> None:
    class Broken:
        def __json__(self) -> object:
            raise KeyError("oops")

    with pytest.raises(EncodeError, match=r"Broken: KeyError\('oops'\): \$\.a"):
        dumps({"a": Broken()})


def test_what_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append({"again": loop})
    with pytest.raises(EncodeError, match=r"contains itself: \$\[0\]\.again"):
        dumps(loop)


def nested(levels: int, core: object = None) -> object:
    for level in range(levels):
        core = [core] if level % 2 else {"a": core}
    return core


def test_200_levels_are_written_and_read_and_no_more_are_written() -> None:
    assert loads(dumps(nested(200))) == nested(200)
    assert loads(dumps(nested(198, NAIVE))) == nested(198, NAIVE)
    with pytest.raises(EncodeError, match="deeper than 200 levels"):
        dumps(nested(201))


def test_too_deep_nesting_is_refused_both_ways() -> None:
    deep: object = None
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(EncodeError, match="deep"):
        dumps(deep)
    with pytest.raises(DecodeError, match="deep"):
        loads("[" * 200_000 + "]" * 200_000)
    while isinstance(deep, list):
        deep = deep.pop()


def test_a_stack_that_is_nearly_full_is_no_crash() -> None:
    def down(levels: int) -> object:
        return down(levels - 1) if levels else loads(dumps(nested(190)))

    with pytest.raises((EncodeError, DecodeError), match="deep"):
        down(sys.getrecursionlimit() - 150)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('{"a":\n nope}', "line 2, column 2"),
        ("", "line 1, column 1"),
        (b"\xff", "byte 0 is not UTF-8"),
        ("9" * 5000, "digits"),
        ('{"__type__":"date","__value__":"2024-13-01"}', "not a value of type 'date'"),
        ('{"__type__":"uuid","__value__":5}', "not a value of type 'uuid'"),
        ('{"__type__":"dict","__value__":5}', "not a value of type 'dict'"),
        ('{"__type__":"decimal","__value__":"x"}', "not a value of type 'decimal'"),
        ('{"__type__":"base64","__value__":"x"}', "not a value of type 'base64'"),
        ('{"__type__":"set","__value__":[{}]}', "not a value of type 'set'"),
        ('{"__type__":"set","__value__":"abc"}', "a list is needed, not str"),
        ('{"__type__":"frozenset","__value__":{"a":1}}', "a list is needed, not dict"),
        ('{"__type__":"dict","__value__":["ab"]}', "a list is needed, not str"),
        ('{"__type__":"dict","__value__":[[[],1]]}', "not a value of type 'dict'"),
        ('{"__type__":"base64","__value__":"!!!!"}', "not a value of type 'base64'"),
        ('{"__type__":"base64","__value__":[]}', "not a value of type 'base64'"),
        ('{"__type__":"bytes","__value__":7}', "not a value of type 'bytes'"),
        ('{"__type__":"timedelta","__value__":[1,2,3,4]}', "not a value of type 'timedelta'"),
        ('{"__type__":"timedelta","__value__":[1e300,0,0]}', "not a value of type 'timedelta'"),
        ('{"__type__":"time","__value__":null}', "not a value of type 'time'"),
        ('{"__type__":"datetime","__value__":{"a":1}}', "not a value of type 'datetime'"),
        ('[{"__type__":"date","__value__":"x"', "line 1, column"),
    ],
)
def test_what_cannot_be_read_says_why(data: str | bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        loads(data)


@pytest.mark.usefixtures("own_types")
def test_a_registered_type_travels_with_its_subclasses() -> None:
    class Half(Fraction):
        pass

    register_type(Fraction, "fraction", lambda f: [f.numerator, f.denominator], lambda v: Fraction(*v))
    assert loads(dumps({"r": [Fraction(1, 3), Half(1, 2)]})) == {"r": [Fraction(1, 3), Fraction(1, 2)]}


@pytest.mark.usefixtures("own_types")
def test_a_registered_enum_named_tuple_or_dataclass_comes_back() -> None:
    register_type(Colour, "colour", lambda c: c.name, lambda name: Colour[name])
    register_type(Level, "level", int, Level)
    register_type(Point, "point", list, lambda v: Point(*v))
    register_type(Frozen, "frozen", lambda f: f.x, Frozen)
    value = [Colour.RED, Level.HIGH, {"p": Point(1, Decimal("2.5"))}, {Frozen(1)}]
    back = loads(dumps(value))
    assert back == value
    assert isinstance(back, list)
    assert [type(each) for each in back[:2]] == [Colour, Level]
    assert dumps(Mood.GOOD) == '"good"'


@pytest.mark.usefixtures("own_types")
def test_what_an_encoder_gives_may_be_anything_that_can_be_encoded() -> None:
    register_type(Fraction, "fraction", lambda f: {"of": Decimal(f.numerator), "by": {f.denominator}}, lambda v: v)
    assert loads(dumps(Fraction(1, 3))) == {"of": Decimal(1), "by": {3}}


@pytest.mark.parametrize("marker", ["dict", "", 5])
def test_a_reserved_marker_is_refused(marker: Any) -> None:
    with pytest.raises(ValueError, match="reserved or no text"):
        register_type(Fraction, marker, str, Fraction)


@pytest.mark.parametrize("type", [str, int, float, bool, list, tuple, dict, None.__class__])
def test_a_type_that_json_has_itself_cannot_be_registered(type: Any) -> None:
    with pytest.raises(ValueError, match="one of JSON's own"):
        register_type(type, "mine", str, str)


def test_the_standard_librarys_dumps_can_write_the_same() -> None:
    value = {"on": date(2024, 1, 1), "line": Line(b"\xff")}
    assert loads(stdlib_json.dumps(value, cls=JSONEncoder)) == loads(dumps(value))


def test_a_plain_document_is_the_standard_librarys() -> None:
    document = {"id": "x", "args": [1, 2.5, None, True], "kwargs": {"a": {"b": "c"}}}
    assert stdlib_json.loads(dumps(document)) == document == loads(dumps(document))
