"""Only what was asked for is decoded; everything that is sent can be read."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kombu import serialization
from kombu.exceptions import ContentDisallowed, DecodeError, EncodeError, SerializerNotInstalled
from kombu.serialization import (
    SerializerRegistry,
    disable_insecure_serializers,
    dumps,
    enable_insecure_serializers,
    loads,
    prepare_accept_content,
    raw_encode,
    register,
    registry,
    unregister,
)

PICKLE = "application/x-python-serialize"
DOCUMENT = {"id": 1, "args": [1.5, None, "ü"], "kwargs": {"a": {"b": True}}}


@pytest.fixture(autouse=True)
def _only_json_is_enabled() -> Iterator[None]:
    yield
    disable_insecure_serializers()


class Exploit:
    """Unpickled, it leaves a trace."""

    ran = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return setattr, (Exploit, "ran", True)


@pytest.mark.parametrize("name", ["json", "pickle", "yaml", "msgpack"])
def test_a_document_comes_back_as_it_was(name: str) -> None:
    content_type, content_encoding, body = dumps(DOCUMENT, name)
    assert loads(body, content_type, content_encoding, accept=[name]) == DOCUMENT
    wire = body.encode(content_encoding) if isinstance(body, str) else body
    assert loads(wire, content_type, content_encoding, accept=[content_type]) == DOCUMENT


def test_json_is_what_anything_but_text_and_bytes_becomes() -> None:
    assert dumps({"on": date(2024, 1, 1)}) == (
        "application/json",
        "utf-8",
        b'{"on":{"__type__":"date","__value__":"2024-01-01"}}',
    )


def test_text_and_bytes_are_sent_as_they_are() -> None:
    assert dumps("ü") == ("text/plain", "utf-8", "ü".encode())
    assert dumps(b"\xff") == ("application/data", "binary", b"\xff")
    assert dumps(memoryview(b"\xff")) == ("application/data", "binary", b"\xff")
    assert dumps("ü", "raw") == ("application/data", "utf-8", "ü".encode())
    assert dumps("ü", "json") == ("application/json", "utf-8", '"ü"'.encode())


def test_raw_refuses_what_is_neither_text_nor_bytes() -> None:
    with pytest.raises(EncodeError, match="not dict"):
        raw_encode({})


@pytest.mark.parametrize("accept", [None, [], ["json"]])
@pytest.mark.parametrize("sent", ["ü", b"\xff\x00"])
def test_text_and_bytes_need_no_ones_leave(sent: str | bytes, accept: list[str] | None) -> None:
    for content_type, content_encoding, body in (dumps(sent), dumps(sent, "raw")):
        assert loads(body, content_type, content_encoding, accept=accept) == sent


@pytest.mark.parametrize(
    ("content_type", "content_encoding", "expected"),
    [
        (None, None, "abc"),
        ("", "", "abc"),
        ("text/html", None, "abc"),
        ("application/text", None, "abc"),
        ("application/data", None, b"abc"),
        ("application/octet-stream", None, b"abc"),
        ("image/png", None, b"abc"),
        ("image/png", "binary", b"abc"),
        ("image/svg+xml", "us-ascii", "abc"),
    ],
)
def test_a_body_that_no_serializer_claims_is_handed_over(
    content_type: str | None, content_encoding: str | None, expected: object
) -> None:
    assert loads(b"abc", content_type, content_encoding) == expected


@pytest.mark.parametrize("body", [b"\xff\x00 junk", b"caf\xe9"])
def test_a_body_that_nothing_is_said_about_and_that_is_no_text_stays_as_it_is(body: bytes) -> None:
    assert loads(body, None, None) == body
    with pytest.raises(DecodeError):
        loads(body, "text/plain", None)


def test_a_message_without_a_body_stays_without() -> None:
    assert loads(None, "application/json", "utf-8") is None


def test_a_body_from_another_language_is_read() -> None:
    assert loads(b'{"a":1}', "Application/JSON; charset=utf-8", None) == {"a": 1}
    assert loads('{"a":"ü"}'.encode("latin-1"), "application/json", "ISO-8859-1") == {"a": "ü"}


@pytest.mark.parametrize("accept", [None, [], ["json"], "json", ["json", "yaml", "application/x-msgpack"]])
def test_a_pickle_nobody_asked_for_is_never_opened(accept: list[str] | None) -> None:
    body = pickle.dumps(Exploit())
    with pytest.raises(ContentDisallowed):
        loads(body, PICKLE, "binary", accept=accept)
    assert not Exploit.ran


@pytest.mark.parametrize("content_type", [PICKLE.upper(), f" {PICKLE} ;x=y", PICKLE + ";"])
def test_a_pickle_under_a_decorated_name_is_never_opened(content_type: str) -> None:
    with pytest.raises(ContentDisallowed):
        loads(pickle.dumps(Exploit()), content_type, "binary")
    assert not Exploit.ran


@pytest.mark.parametrize("name", ["pickle", "yaml", "msgpack"])
def test_the_insecure_ones_need_an_explicit_yes(name: str) -> None:
    content_type, content_encoding, body = dumps(DOCUMENT, name)
    with pytest.raises(ContentDisallowed):
        loads(body, content_type, content_encoding)
    assert loads(body, content_type, content_encoding, force=True) == DOCUMENT
    enable_insecure_serializers([name])
    assert loads(body, content_type, content_encoding) == DOCUMENT
    with pytest.raises(ContentDisallowed):
        loads(body, content_type, content_encoding, accept=["json"])
    disable_insecure_serializers()
    with pytest.raises(ContentDisallowed):
        loads(body, content_type, content_encoding)


def test_all_the_insecure_ones_can_be_enabled_at_once() -> None:
    enable_insecure_serializers()
    for name in ("json", "pickle", "yaml", "msgpack"):
        content_type, content_encoding, body = dumps([1], name)
        assert loads(body, content_type, content_encoding) == [1]


def test_json_can_be_refused_too() -> None:
    disable_insecure_serializers(allowed=[])
    with pytest.raises(ContentDisallowed, match="no serializer"):
        loads(b"1", "application/json", "utf-8")


def test_a_refusal_says_what_came_what_is_accepted_and_how_to_allow_it() -> None:
    with pytest.raises(ContentDisallowed) as caught:
        loads(b"", PICKLE, "binary", accept=["application/json"])
    text = str(caught.value)
    assert PICKLE in text
    assert "accepted are application/json" in text
    assert "accept=['pickle', ...]" in text
    assert "enable_insecure_serializers(['pickle'])" in text


def test_a_refusal_does_not_repeat_a_senders_novel() -> None:
    with pytest.raises(ContentDisallowed) as caught:
        loads(b"", "x" * 10_000, "binary", accept=["json"])
    assert len(str(caught.value)) < 1000


def test_yaml_never_builds_objects() -> None:
    with pytest.raises(DecodeError):
        loads(b"!!python/object/apply:os.getpid []", "application/x-yaml", "utf-8", accept=["yaml"])


@pytest.mark.parametrize("name", ["json", "pickle", "yaml", "msgpack"])
def test_what_cannot_be_sent_is_an_encode_error(name: str) -> None:
    with pytest.raises(EncodeError):
        dumps(lambda: None, name)


def test_an_encode_error_has_its_cause() -> None:
    with pytest.raises(EncodeError, match="as msgpack") as caught:
        dumps(object(), "msgpack")
    assert isinstance(caught.value.__cause__, TypeError)


def test_text_without_a_utf8_form_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="UTF-8"):
        dumps("\ud800")


@pytest.mark.parametrize(
    ("content_type", "content_encoding", "body"),
    [
        ("application/json", "utf-8", b"{"),
        ("application/json", "utf-8", b""),
        ("application/json", "utf-8", b"\xff"),
        (PICKLE, "binary", b"nonsense"),
        (PICKLE, "utf-8", b"nonsense"),
        ("application/x-yaml", "utf-8", b"a: [b"),
        ("application/x-msgpack", "binary", b"\xc1"),
        ("text/plain", "utf-8", b"\xff"),
    ],
)
def test_what_is_not_what_it_promises_is_a_decode_error(content_type: str, content_encoding: str, body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        loads(body, content_type, content_encoding, force=True)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("charset", ["klingon", "rot13", "gzip", "a\0b", "idna", "punycode", "x" * 5000])
def test_an_unknown_charset_is_a_decode_error(charset: str) -> None:
    with pytest.raises(DecodeError) as caught:
        loads(b"abc", "text/plain", charset)
    assert len(str(caught.value)) < 200


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SerializerNotInstalled, match="'xml'; known are json, msgpack, pickle, yaml, raw"):
        dumps({}, "xml")


@pytest.mark.parametrize(("name", "module"), [("yaml", "yaml"), ("msgpack", "msgpack")])
def test_a_missing_package_is_named_with_its_pip_command(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_type, content_encoding, body = dumps([1], name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SerializerNotInstalled, match=rf"pip install 'kombu\[{name}\]'"):
        dumps([1], name)
    with pytest.raises(SerializerNotInstalled, match=rf"pip install 'kombu\[{name}\]'"):
        loads(body, content_type, content_encoding, accept=[name])


def test_an_accept_list_has_names_or_content_types() -> None:
    types = prepare_accept_content(["json", PICKLE, "raw"])
    assert types == frozenset({"application/json", PICKLE, "application/data"})
    assert prepare_accept_content("json") == frozenset({"application/json"})
    named = prepare_accept_content(["mine"], {"mine": "application/x-mine"})
    assert named == frozenset({"application/x-mine"})
    assert prepare_accept_content(None) is None
    with pytest.raises(SerializerNotInstalled, match="xml"):
        prepare_accept_content(["xml"])


def test_a_serializer_of_ones_own_is_enabled_and_can_be_taken_back() -> None:
    register("reversed", lambda data: data[::-1], lambda body: body[::-1], "application/x-reversed")
    try:
        assert dumps("abc", "reversed") == ("application/x-reversed", "utf-8", "cba")
        assert loads(b"cba", "application/x-reversed", "utf-8") == "abc"
        assert registry.name_to_type["reversed"] == "application/x-reversed"
        assert registry.type_to_name["application/x-reversed"] == "reversed"
        registry.disable("reversed")
        with pytest.raises(ContentDisallowed):
            loads(b"cba", "application/x-reversed", "utf-8")
    finally:
        unregister("reversed")
    with pytest.raises(SerializerNotInstalled):
        dumps("abc", "reversed")
    with pytest.raises(SerializerNotInstalled):
        unregister("reversed")


def test_two_names_of_one_content_type_are_both_good_in_an_accept_list() -> None:
    own = SerializerRegistry()
    own.register("one", str, int, "application/x-n")
    own.register("two", str, int, "application/x-n")
    assert own.loads("1", "application/x-n", "utf-8", accept=["one"]) == 1
    assert own.loads("1", "application/x-n", "utf-8", accept=["two"]) == 1


def test_a_content_type_that_passes_as_it_is_cannot_be_claimed() -> None:
    with pytest.raises(ValueError, match="text/plain"):
        register("mine", str, str, "Text/Plain")


@pytest.mark.parametrize("body", [b'{"a":1}', '{"a":1}', bytearray(b'{"a":1}'), memoryview(b'{"a":1}')])
@pytest.mark.parametrize("content_encoding", ["utf-8", "UTF-8", "utf8", None, "", "binary"])
@pytest.mark.parametrize("accept", [None, ["json"], ("application/json",), {"application/json": 1}, "application/json"])
def test_json_is_read_however_it_comes(body: str | bytes, content_encoding: str | None, accept: Any) -> None:
    assert loads(body, "application/json", content_encoding, accept=accept) == {"a": 1}


@pytest.mark.parametrize("accept", [[], ["yaml"], "application/json-seq", "yaml", {"application/jso"}])
def test_json_is_refused_where_it_is_not_listed(accept: Any) -> None:
    with pytest.raises(ContentDisallowed, match="application/json"):
        loads(b"1", "application/json", "utf-8", accept=accept)


def test_json_can_be_replaced_and_registered_again() -> None:
    register("json", lambda data: "mine", lambda body: f"mine: {body}", "application/json")
    try:
        assert loads(dumps({}, "json")[2], "application/json", "utf-8") == "mine: mine"
    finally:
        serialization.register_json()
    assert dumps({}) == ("application/json", "utf-8", b"{}")
    assert loads(b"{}", "application/json", "utf-8") == {}


def test_the_old_names_are_the_new_functions() -> None:
    assert serialization.encode == dumps
    assert serialization.decode == loads
    assert serialization.pickle is pickle
    assert serialization.pickle_protocol == 4
    with pytest.raises(AttributeError, match="nothing_like_it"):
        serialization.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("again", ["json", "pickle", "yaml", "msgpack"])
def test_a_built_in_serializer_that_was_taken_out_can_be_put_back(again: str) -> None:
    unregister(again)
    with pytest.raises(SerializerNotInstalled):
        dumps({}, again)
    getattr(serialization, f"register_{again}")()
    content_type, content_encoding, body = dumps(DOCUMENT, again)
    assert loads(body, content_type, content_encoding, accept=[again]) == DOCUMENT
    if again != "json":
        with pytest.raises(ContentDisallowed):
            loads(body, content_type, content_encoding)


PLUGIN = """
import base64
good = (lambda d: base64.b64encode(d.encode()).decode(), lambda t: base64.b64decode(t).decode(),
        "application/x-b64", "utf-8")
usurper = (str, str, "application/x-other", "utf-8")
short = (str, str)
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SerializerRegistry:
    """A registry that finds an installed distribution with serializers, one of them broken."""
    (tmp_path / "a_serializer_plugin.py").write_text(PLUGIN)
    info = tmp_path / "a_serializer_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-serializer-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[kombu.serializers]\n"
        "b64 = a_serializer_plugin:good\n"
        "json = a_serializer_plugin:usurper\n"
        "broken = a_serializer_plugin:missing\n"
        "short = a_serializer_plugin:short\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "a_serializer_plugin", raising=False)
    own = SerializerRegistry()
    own.register("json", str, str, "application/json")
    return own


def test_a_plugin_is_loaded_when_an_unknown_name_is_used(plugins: SerializerRegistry) -> None:
    plugins.dumps({}, "json")
    assert "a_serializer_plugin" not in sys.modules
    assert plugins.dumps("abc", "b64") == ("application/x-b64", "utf-8", "YWJj")


def test_a_plugin_is_decoded_only_when_it_is_accepted(plugins: SerializerRegistry) -> None:
    with pytest.raises(ContentDisallowed):
        plugins.loads(b"YWJj", "application/x-b64", "utf-8")
    assert plugins.loads(b"YWJj", "application/x-b64", "utf-8", accept=["b64"]) == "abc"
    plugins.enable("b64")
    assert plugins.loads(b"YWJj", "application/x-b64", "utf-8") == "abc"


def test_a_plugin_replaces_nothing(plugins: SerializerRegistry) -> None:
    plugins.dumps("abc", "b64")
    assert plugins.name_to_type["json"] == "application/json"


def test_a_broken_plugin_is_in_nobodys_way_until_it_is_asked_for(plugins: SerializerRegistry) -> None:
    plugins.dumps("abc", "b64")
    with pytest.raises(SerializerNotInstalled, match=r"'broken' does not load.*no attribute 'missing'"):
        plugins.dumps("abc", "broken")
    with pytest.raises(SerializerNotInstalled, match=r"'short' does not load.*content_type"):
        plugins.dumps("abc", "short")


def test_importing_this_brings_in_no_serializer() -> None:
    program = (
        "import sys, kombu.serialization;"
        "print([m for m in ('pickle', 'yaml', 'msgpack', 'importlib.metadata', 'bz2') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
