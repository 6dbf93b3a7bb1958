"""The head of a message is read as it was written, remembered or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kombu.transport.virtual import head as heads
from kombu.transport.virtual.head import Head, decode_head, encode_head

ID = "6f1c2b1e-0000-4000-8000-00000000000a"


def usual(**changed: object) -> dict[str, Any]:
    return {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "message_id": ID,
        **changed,
    }


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_beginnings", {})
    monkeypatch.setattr(heads, "_heads", {})


@pytest.mark.parametrize(
    "properties",
    [
        usual(),
        usual(message_id='a "quoted" id of 36 characters......'),
        usual(message_id="a \\ in an id of 36 characters......."),
        usual(message_id="an id of 36 characters and a line\nend"),
        usual(message_id="ä-0000-4000-8000-00000000000a-ab-abc"),
        usual(message_id="\x7f" * 36),
        usual(message_id="short"),
        usual(message_id=36),
        usual(delivery_mode=True),
        usual(delivery_mode=1.0),
        usual(delivery_mode=None),
        usual(content_type=None, content_encoding=None),
        usual(content_type='with "quotes"'),
        usual(headers={"a": 1}),
        usual(priority=3),
        {"message_id": ID},
        {"a": 1, "b": 2, "c": 3, "message_id": ID},
        {},
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", [("shop", "order.new"), ('"', "\\"), ("", "ünïcode\n")])
def test_a_head_is_read_as_it_was_written_again_and_again(place: tuple[str, str], properties: dict[str, Any]) -> None:
    rest = {name: value for name, value in properties.items() if not name.startswith("content_") and name != "headers"}
    wanted = Head(
        *place,
        properties.get("content_type"),
        properties.get("content_encoding"),
        properties.get("headers", {}),
        rest,
    )
    for _ in range(3):
        written = encode_head(*place, properties)
        assert json.loads(written) == {"exchange": place[0], "routing_key": place[1], "properties": properties}
        assert repr(decode_head(written)) == repr(wanted)


def test_values_that_python_holds_for_equal_are_not_mixed_up() -> None:
    for mode in (1, True, 1.0):
        assert json.loads(encode_head("", "q", usual(delivery_mode=mode)))["properties"]["delivery_mode"] is mode or (
            mode == 1.0 and '"delivery_mode":1.0' in encode_head("", "q", usual(delivery_mode=mode))
        )


def test_who_changes_the_properties_of_a_message_changes_no_other() -> None:
    written = encode_head("shop", "k", usual())
    for _ in range(3):
        found = decode_head(written)
        assert (found.properties, found.headers) == ({"delivery_mode": 2, "message_id": ID}, {})
        found.properties["delivery_mode"] = 99
        found.headers["x"] = 1


def test_what_is_remembered_is_bounded() -> None:
    for number in range(3 * heads._MOST_REMEMBERED):
        decode_head(encode_head("shop", f"key {number}", usual()))
    assert len(heads._beginnings) <= heads._MOST_REMEMBERED
    assert len(heads._heads) <= heads._MOST_REMEMBERED


@pytest.mark.parametrize(
    "head", ["", "x", "{}", "[]", '"text"', "null", '{"exchange":1,"routing_key":"","properties":{}}']
)
def test_a_head_of_another_form_is_kept_for_people(head: str) -> None:
    assert decode_head(head) == Head("", "", None, None, {"x-foreign-head": head}, {})


def test_a_head_that_only_begins_as_a_remembered_one_is_read_for_itself() -> None:
    written = encode_head("shop", "k", usual())
    decode_head(written)
    other = written.replace(ID, '","type":"order","app_id":"abcdefghij'[:36])
    assert decode_head(other).properties != {"delivery_mode": 2, "message_id": other[-39:-3]}
