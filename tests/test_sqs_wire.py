"""A message goes into SQS's words and comes out as it was; what others wrote comes out as bytes, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("boto3")

from kombu.transport.sqs.limits import batches, tens
from kombu.transport.sqs.tags import Torn, from_tags, to_tags
from kombu.transport.sqs.wire import HEAD, NOTE, Note, decoded, encoded, size_of
from kombu.transport.virtual.head import decode_head

BODIES = (b"", b"-", b"text", "größe 📦".encode(), b"\0", b"\xff\xfe", bytes(range(256)), b"\r\n\t", "\ufffe".encode())
HEADS = ('{"a": 1}', '{"größe": "📦"}', '{"odd": "\ufffe\x7f"}')
NOTES = (Note(), Note(ttl=1500), Note(stored=1, due=2, tried=3), Note(ttl=0))


def received(text: str, attributes: dict[str, Any], **system: str) -> dict[str, Any]:
    return {
        "MessageId": "m-1",
        "ReceiptHandle": "r-1",
        "Body": text,
        "MessageAttributes": attributes,
        "Attributes": {"SentTimestamp": "1700000000123", "ApproximateReceiveCount": "2", **system},
    }


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("note", NOTES)
def test_a_message_comes_out_as_it_went_in(head: str, body: bytes, note: Note) -> None:
    text, attributes = encoded(head, body, note)
    found = decoded("orders", received(text, attributes))
    assert (found.head, found.body) == (head, body)
    assert (found.note.ttl, found.note.due, found.note.tried) == (note.ttl, note.due, note.tried)
    assert found.deliveries == 2 + note.tried
    assert found.stored == (0.001 if note.stored else 1700000000.123)
    assert text
    assert found.size == size_of(text, attributes)


def test_text_goes_as_text_so_that_others_can_read_it() -> None:
    text, attributes = encoded("{}", '{"größe": 1}'.encode())
    assert text == '{"größe": 1}'
    assert set(attributes) == {HEAD}


def test_its_size_is_what_aws_counts() -> None:
    assert size_of("größe", {"a": {"DataType": "String", "StringValue": "ü"}}) == 7 + 1 + 6 + 2
    assert size_of("", {"a": {"DataType": "Binary", "BinaryValue": b"\xff"}}) == 1 + 6 + 1


def test_a_message_that_others_sent_is_bytes_with_its_attributes_as_headers() -> None:
    attributes = {
        "team": {"DataType": "String", "StringValue": "shop"},
        "count": {"DataType": "Number", "StringValue": "7"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\xff"},
    }
    found = decoded("orders", received("<order/>", attributes))
    head = decode_head(found.head)
    assert found.body == b"<order/>"
    assert (head.content_type, head.content_encoding) == ("application/octet-stream", "binary")
    assert (head.routing_key, head.properties["message_id"]) == ("orders", "m-1")
    assert head.headers == {"team": "shop", "count": "7", "raw": "\ufffd"}


@pytest.mark.parametrize("head", ["", " ", "no JSON", "[]", '{"exchange": 7}'])
@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[1]",
        '{"body": 7, "ttl": "x", "due": true}',
        '{"body": "base64"}',
        "\ud800",
        '{"due": -1}',
        '{"ttl": 1%s}' % ("0" * 400),
    ],
)
def test_a_forged_head_or_note_never_raises_and_keeps_the_body(head: str, note: str) -> None:
    attributes = {
        HEAD: {"DataType": "String", "StringValue": head},
        NOTE: {"DataType": "String", "StringValue": note},
    }
    found = decoded("orders", received("neither base64 nor empty: 📦", attributes))
    assert found.body.decode() == "neither base64 nor empty: 📦"
    assert (found.note.ttl, found.note.due) == (None, None)
    decode_head(found.head)


def test_a_message_without_anything_is_a_message() -> None:
    found = decoded("orders", {"MessageId": "m", "ReceiptHandle": "r"})
    assert (found.body, found.received) == (b"", 1)


def test_batches_have_ten_messages_at_most_and_no_more_bytes_than_fit() -> None:
    assert [len(batch) for batch in batches([1] * 25, lambda size: size, 100)] == [10, 10, 5]
    assert list(batches([60, 50, 40, 90, 200], lambda size: size, 100)) == [[60], [50, 40], [90], [200]]
    assert list(batches([], lambda size: size, 100)) == []
    assert [len(each) for each in tens(range(21))] == [10, 10, 1]


def test_the_topology_fits_into_tags_and_comes_out_whole() -> None:
    text = '{"größe": "' + "x" * 50_000 + '"}'
    tags = to_tags(text)
    assert from_tags({"team": "shop", **tags}) == text
    assert from_tags({"team": "shop"}) == ""
    assert len(tags) <= 50
    assert all(len(key) <= 128 and len(value) <= 256 for key, value in tags.items())


def test_who_reads_the_topology_while_it_is_written_sees_that() -> None:
    old, new = to_tags("old " * 500), to_tags("new " + "".join(map(str, range(900))))
    half = {**old, **dict(list(new.items())[1:])}
    for torn in (half, {**old, "kombu.topology.0": "####"}, dict(list(new.items())[:2])):
        with pytest.raises(Torn):
            from_tags(torn)
