"""A cached property is made once, may be set and deleted, and its class has a say in both; symbols by name."""

from __future__ import annotations

import json
import json.encoder
from types import ModuleType
from typing import Any

import pytest

from kombu.utils import cached_property, symbol_by_name
from kombu.utils.collections import EqualityDict, HashedSeq, eqhash


class Shop:
    made = 0

    def __init__(self) -> None:
        self.deleted: list[object] = []

    @cached_property
    def till(self) -> str:
        """The till."""
        type(self).made += 1
        return "till"

    @cached_property
    def owner(self) -> str:
        return "nobody"

    @owner.setter
    def owner(self, name: str) -> str:
        if not name:
            raise ValueError("a name is needed")
        return name.title()

    @owner.deleter
    def owner(self, name: str) -> None:
        self.deleted.append(name)


def test_it_is_made_once_and_kept() -> None:
    shop = Shop()
    before = Shop.made
    assert shop.till == shop.till == "till"
    assert Shop.made == before + 1
    assert Shop.till.__doc__ == "The till."


def test_what_is_set_is_kept_instead() -> None:
    shop = Shop()
    shop.till = "another"
    assert shop.till == "another"


def test_what_is_deleted_is_made_again() -> None:
    shop = Shop()
    shop.till = "another"
    del shop.till
    assert shop.till == "till"
    del Shop().till


def test_a_setter_says_what_is_kept() -> None:
    shop = Shop()
    shop.owner = "ada"
    assert shop.owner == "Ada"
    with pytest.raises(ValueError, match="a name is needed"):
        shop.owner = ""
    assert shop.owner == "Ada"


def test_a_deleter_is_given_what_was_kept_and_nothing_else() -> None:
    shop = Shop()
    del shop.owner
    assert shop.deleted == []
    assert shop.owner == "nobody"
    del shop.owner
    assert shop.deleted == ["nobody"]


def test_a_cached_property_has_to_be_an_attribute_of_a_class() -> None:
    loose = cached_property(lambda self: 1)
    with pytest.raises(TypeError, match="attribute of a class"):
        loose.__set__(Shop(), 1)


@pytest.mark.parametrize("name", ["json.encoder.JSONEncoder", "json.encoder:JSONEncoder"])
def test_a_symbol_is_found_by_its_name(name: str) -> None:
    assert symbol_by_name(name) is json.encoder.JSONEncoder


def test_what_is_no_text_is_the_symbol_itself() -> None:
    assert symbol_by_name(json.dumps) is json.dumps


def test_a_module_is_a_symbol_too() -> None:
    assert symbol_by_name("json") is json
    assert symbol_by_name(".encoder:JSONEncoder", package="json") is json.encoder.JSONEncoder


def test_a_short_name_may_stand_for_a_long_one_or_for_the_thing() -> None:
    aliases = {"encoder": "json.encoder:JSONEncoder", "dumps": json.dumps}
    assert symbol_by_name("encoder", aliases) is json.encoder.JSONEncoder
    assert symbol_by_name("dumps", aliases) is json.dumps


@pytest.mark.parametrize(("name", "error"), [("no_such.thing", ImportError), ("json.no_such", AttributeError)])
def test_what_is_not_there_is_an_error_or_the_default(name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="no_such"):
        symbol_by_name(name)
    assert symbol_by_name(name, default=json) is json


@pytest.mark.parametrize("name", ["", ".", ":", "json:a:b"])
def test_what_is_no_name_is_refused_even_with_a_default(name: str) -> None:
    with pytest.raises(ValueError, match="names nothing"):
        symbol_by_name(name, default=json)


def test_another_way_to_import_can_be_given() -> None:
    asked: list[Any] = []

    def imp(name: str, package: str | None = None) -> ModuleType:
        asked.append((name, package))
        return json

    assert symbol_by_name("shop:dumps", imp=imp) is json.dumps
    assert asked == [("shop", None)]


class Link:
    """A connection to a broker, made in several places."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, url: str) -> None:
        self.url = url

    def __eqhash__(self) -> HashedSeq:
        return HashedSeq("Link", self.url)


def test_keys_that_say_they_are_the_same_are_one_key() -> None:
    pools: EqualityDict[Link, str] = EqualityDict()
    pools[Link("a")] = "pool a"
    pools[Link("b")] = "pool b"
    assert pools[Link("a")] == "pool a"
    assert Link("a") in pools
    assert [key.url for key in pools] == ["a", "b"]
    del pools[Link("a")]
    assert Link("a") not in pools
    assert len(pools) == 1
    with pytest.raises(KeyError):
        _ = pools[Link("a")]


def test_keys_with_one_hash_are_still_two() -> None:
    assert hash(-1) == hash(-2)
    numbers: EqualityDict[int, str] = EqualityDict()
    numbers[-1], numbers[-2] = "one", "two"
    assert dict(numbers) == {-1: "one", -2: "two"}
    assert repr(numbers) == "EqualityDict([(-1, 'one'), (-2, 'two')])"


def test_a_subclass_may_make_what_is_missing() -> None:
    class Pools(EqualityDict[Link, str]):
        def __missing__(self, key: Link) -> str:
            self[key] = f"pool of {key.url}"
            return self[key]

    pools = Pools()
    assert pools[Link("a")] == pools[Link("a")] == "pool of a"
    assert len(pools) == 1


def test_a_sequence_with_a_hash_of_its_own_is_compared_by_its_items() -> None:
    assert HashedSeq(1, "a") == HashedSeq(1, "a")
    assert hash(HashedSeq(1, "a")) == hash(HashedSeq(1, "a")) == HashedSeq(1, "a").hashvalue
    assert HashedSeq(1, "a") != HashedSeq(1, "b")
    assert eqhash(Link("a")) == HashedSeq("Link", "a")
    assert eqhash(7) == 7
