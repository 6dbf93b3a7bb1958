"""Values that wait, lists of one, ranges that end where they say, and calls as they are written."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import kombu.retry
import kombu.utils
from kombu.utils import functional
from kombu.utils.functional import (
    ChannelPromise,
    accepts_argument,
    dictfilter,
    fxrange,
    fxrangemax,
    is_list,
    lazy,
    maybe_evaluate,
    maybe_list,
    maybe_promise,
    promise,
    reprcall,
    reprkwargs,
    shufflecycle,
)


def test_a_lazy_value_is_made_each_time_it_is_needed() -> None:
    made: list[int] = []

    def make(step: int, start: int = 0) -> int:
        made.append(1)
        return start + step * len(made)

    value = lazy(make, 10, start=1)
    assert made == []
    assert value() == 11
    assert str(value) == "21"
    assert repr(value) == "31"
    assert value == 41
    assert maybe_evaluate(value) == 51


def test_a_lazy_value_is_compared_by_its_value_and_is_no_key() -> None:
    assert lazy(lambda: 3) == lazy(lambda: 3)
    assert lazy(lambda: 3) != 4
    with pytest.raises(TypeError, match="unhashable"):
        hash(lazy(lambda: 3))


def test_what_is_not_lazy_is_its_own_value() -> None:
    def function() -> int:
        raise AssertionError("not to be called")

    assert maybe_evaluate(function) is function
    assert maybe_evaluate(None) is None


def test_the_old_names_mean_the_same() -> None:
    assert maybe_promise(promise(lambda: 3)) == 3


def test_a_channels_promise_is_kept_once() -> None:
    made: list[object] = []

    def contract() -> object:
        made.append(object())
        return made[-1]

    kept = ChannelPromise(contract)
    assert "promise" in repr(kept)
    assert made == []
    assert kept() is kept() is made[0]
    assert repr(kept) == repr(made[0])
    assert len(made) == 1


def test_a_channels_promise_may_be_kept_with_none() -> None:
    made: list[None] = []
    kept: ChannelPromise[None] = ChannelPromise(lambda: made.append(None))
    kept()
    kept()
    assert made == [None]


@pytest.mark.parametrize("many", [[], (1,), {1}, iter([1]), range(2), {"a": 1}.keys()])
def test_many_things_are_a_list(many: object) -> None:
    assert is_list(many)
    assert maybe_list(many) is many


@pytest.mark.parametrize("one", ["text", b"bytes", bytearray(b"x"), {"a": 1}, 0, object()])
def test_one_thing_becomes_a_list_of_one(one: object) -> None:
    assert not is_list(one)
    assert maybe_list(one) == [one]


def test_none_stays_none_and_scalars_may_be_others() -> None:
    assert maybe_list(None) is None
    assert maybe_list((1, 2), scalars=(tuple,)) == [(1, 2)]


def test_values_that_are_none_are_left_out() -> None:
    assert dictfilter({"a": 1, "b": None, "c": 0}) == {"a": 1, "c": 0}
    assert dictfilter(a=None, b="") == {"b": ""}
    assert dictfilter({}, a=1) == {}


def test_a_range_of_fractions_includes_its_end() -> None:
    assert list(fxrange(1, 3, 0.5)) == [1, 1.5, 2, 2.5, 3]
    assert list(islice(fxrange(0, step=0.1), 4))[-1] == pytest.approx(0.3)
    assert list(fxrange(5, 3)) == []


def test_a_range_may_repeat_its_last() -> None:
    assert list(islice(fxrange(1, 2.5, 1, repeatlast=True), 4)) == [1, 2, 2, 2]
    assert list(fxrange(5, 3, repeatlast=True)) == []


def test_a_range_may_end_by_its_sum() -> None:
    assert list(fxrangemax(1, 3, 1, max=10)) == [1, 2, 3, 3, 3]
    assert list(fxrangemax(1, step=2, max=9)) == [1, 3, 5]
    assert list(fxrangemax(max=0)) == []


def test_a_call_is_shown_as_it_is_written() -> None:
    assert reprcall("add", (1, "b"), {"to": None}) == "add(1, 'b', to=None)"
    assert reprcall("add") == "add()"
    assert reprcall("add", (), {"x": 1, "y": 2}, sep=" ; ") == "add(x=1 ; y=2)"
    assert reprkwargs({"x": 1}, fmt="{0}: {1}") == "x: 1"


def test_what_cannot_be_shown_does_not_hide_the_call() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert reprcall("add", (Odd(), 1)).startswith("add(<Unprintable 'Odd'")


def test_each_round_of_a_shuffled_cycle_has_each_item_once() -> None:
    cycle = shufflecycle("abc")
    for _ in range(5):
        assert sorted(islice(cycle, 3)) == ["a", "b", "c"]
    assert list(shufflecycle([])) == []


def plain(a: object, /, b: object, *, c: object) -> None: ...
def anything(**kwargs: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "name", "accepts"),
    [(plain, "b", True), (plain, "c", True), (plain, "a", False), (plain, "d", False), (anything, "d", True)],
)
def test_whether_a_function_takes_a_keyword(function: Any, name: str, accepts: bool) -> None:
    assert accepts_argument(function, name) is accepts


def test_retrying_is_found_where_people_look_for_it() -> None:
    assert functional.retry_over_time is kombu.retry.retry_over_time
    assert kombu.utils.retry_over_time is kombu.retry.retry_over_time


@pytest.mark.parametrize("name", kombu.utils.__all__)
def test_every_helper_is_found_in_the_package(name: str) -> None:
    assert callable(getattr(kombu.utils, name))
    assert name in dir(kombu.utils)


@pytest.mark.parametrize("module", [functional, kombu.utils])
def test_a_helper_that_is_not_there_is_named(module: Any) -> None:
    with pytest.raises(AttributeError, match="'retry_for_ever'"):
        _ = module.retry_for_ever


def test_the_package_loads_no_helper_before_it_is_used() -> None:
    program = "import sys, kombu.utils; print(*(name for name in sys.modules if name.startswith('kombu')))"
    root = Path(__file__).parent.parent
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root, env=dict(os.environ)
    )
    assert set(made.stdout.split()) == {"kombu", "kombu.utils", "kombu.utils.uuid"}
