"""Everybody gets a turn."""

from __future__ import annotations

from queue import Empty

import pytest

from kombu.utils.scheduling import FairCycle, cycle_by_name, priority_cycle, round_robin_cycle, sorted_cycle


def answer(resource: str, calm: frozenset[str] = frozenset()) -> str:
    if resource in calm:
        raise Empty(resource)
    return resource


def test_the_one_after_the_last_is_asked_first() -> None:
    cycle = FairCycle(answer, ["a", "b", "c"], Empty)
    assert [cycle.get() for _ in range(5)] == ["a", "b", "c", "a", "b"]
    cycle.close()


def test_those_who_have_nothing_are_passed_over() -> None:
    cycle = FairCycle(answer, ["a", "b", "c"], Empty)
    assert [cycle.get(frozenset("b")) for _ in range(4)] == ["a", "c", "a", "c"]
    assert cycle.get(calm=frozenset("ac")) == "b"


def test_when_nobody_has_anything_each_was_asked_once() -> None:
    asked: list[str] = []

    def nothing(resource: str) -> None:
        asked.append(resource)
        raise Empty(resource)

    cycle = FairCycle(nothing, ["a", "b"], Empty)
    with pytest.raises(Empty, match="b"):
        cycle.get()
    assert asked == ["a", "b"]


@pytest.mark.parametrize("predicate", [Empty, (Empty, KeyError)])
def test_of_no_resources_none_has_anything(predicate: type[Exception] | tuple[type[Exception], ...]) -> None:
    with pytest.raises(Empty, match="no resources"):
        FairCycle(answer, [], predicate).get()


def test_another_error_is_not_passed_over() -> None:
    def broken(resource: str) -> str:
        raise RuntimeError(resource)

    with pytest.raises(RuntimeError, match="a"):
        FairCycle(broken, ["a", "b"], Empty).get()


def test_it_shows_where_it_is() -> None:
    assert repr(FairCycle(answer, ["a", "b"])) == "<FairCycle 0/2 ['a', 'b']>"


def test_round_robin_sends_who_was_used_to_the_end() -> None:
    cycle = round_robin_cycle(["a", "b", "c"])
    assert cycle.consume(2) == ["a", "b"]
    assert cycle.rotate("a") == "a"
    assert cycle.consume(5) == ["b", "c", "a"]
    cycle.rotate("nobody")
    assert cycle.consume(5) == ["b", "c", "a"]
    cycle.update("xy")
    assert cycle.consume(5) == ["x", "y"]


def test_priority_keeps_the_line_as_it_was_given() -> None:
    cycle = priority_cycle(["b", "a"])
    assert cycle.rotate("b") == "b"
    assert cycle.consume(5) == ["b", "a"]


def test_sorted_goes_by_the_items_own_order() -> None:
    cycle = sorted_cycle(["c", "a", "b"])
    cycle.rotate("a")
    assert cycle.consume(2) == ["a", "b"]


def test_an_empty_line_is_empty() -> None:
    assert round_robin_cycle[str]().consume(1) == []


def test_a_cycle_is_found_by_its_name() -> None:
    assert cycle_by_name("round_robin") is round_robin_cycle
    assert cycle_by_name("priority") is priority_cycle
    assert cycle_by_name("sorted") is sorted_cycle
    assert cycle_by_name("kombu.utils.scheduling:sorted_cycle") is sorted_cycle
    with pytest.raises(ImportError, match="fair"):
        cycle_by_name("fair.cycle")
