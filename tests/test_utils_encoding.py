"""Text and bytes of anything, never an error where that was promised."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from kombu.utils.encoding import (
    bytes_to_str,
    default_encode,
    default_encoding,
    ensure_bytes,
    from_utf8,
    get_default_encoding_file,
    safe_repr,
    safe_str,
    set_default_encoding_file,
    str_to_bytes,
)


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_bytes_become_text_and_anything_else_stays() -> None:
    assert bytes_to_str("ü".encode()) == "ü"
    assert bytes_to_str(bytearray(b"a")) == "a"
    assert bytes_to_str(b"a\xff") == "a\ufffd"
    assert bytes_to_str("ü") == "ü"
    assert bytes_to_str(7) == 7


def test_text_becomes_bytes_and_anything_else_stays() -> None:
    assert str_to_bytes("ü") == "ü".encode()
    assert str_to_bytes(b"\xff") == b"\xff"
    assert str_to_bytes(None) is None


def test_everything_can_be_made_bytes() -> None:
    assert ensure_bytes("ü") == "ü".encode()
    assert ensure_bytes(memoryview(b"\xff")) == b"\xff"
    assert ensure_bytes(7) == b"7"


def test_what_needs_no_encoding_any_more_is_left_alone() -> None:
    assert from_utf8("ü") == default_encode("ü") == "ü"


@pytest.mark.parametrize(
    ("thing", "text"), [("ü", "ü"), (b"a\xff", "a\ufffd"), (7, "7"), (None, "None"), ("a\ud800", "a?")]
)
def test_there_is_a_text_for_everything(thing: object, text: str) -> None:
    assert safe_str(thing) == text


@pytest.mark.parametrize("safe", [safe_str, safe_repr])
def test_what_fails_to_show_itself_is_shown_by_its_type_and_error(safe: Any) -> None:
    assert "Odd" in safe(Odd())
    assert "RuntimeError" in safe(Odd())
    assert safe("a\ud800").encode()


def test_safe_repr_is_repr_where_that_works() -> None:
    assert safe_repr(["ü", b"\xff"]) == repr(["ü", b"\xff"])


def test_the_encoding_is_the_streams_or_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert default_encoding(latin) == "latin-1"
    assert default_encoding(io.StringIO()) == sys.getfilesystemencoding()
    monkeypatch.setattr("kombu.utils.encoding._encoding_file", None)
    set_default_encoding_file(latin)
    assert get_default_encoding_file() is latin
    assert default_encoding() == "latin-1"
