"""What a consumer cannot decode, or another program wrote, is told and can be settled; it is never lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import ContentDisallowed, DecodeError, KombuError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Envelope
from tests.memory import PATIENCE, counts, drain, nothing_comes, publish, take

pytestmark = pytest.mark.usefixtures("orders_queue")

orders = Queue("orders")


def undecodable(connection: Connection) -> None:
    publish(connection, {"id": 1}, serializer="pickle")


def junk(connection: Connection) -> None:
    publish(connection, b"{", content_type="application/json")


@pytest.mark.parametrize(("send", "error"), [(undecodable, ContentDisallowed), (junk, DecodeError)])
def test_what_cannot_be_decoded_is_raised_and_not_lost(
    send: Callable[[Connection], None], error: type[Exception], connection: Connection, name: str
) -> None:
    send(connection)
    publish(connection, "good")
    seen: list[Any] = []
    with connection.Consumer(orders, callbacks=[lambda body, message: seen.append(body)]):
        with pytest.raises(error) as caught:
            connection.drain_events(timeout=PATIENCE)
        assert caught.value.message.delivery_info["queue"] == "orders"
        drain(connection, 1)
    assert (seen, counts(name).total) == (["good"], 2)


@pytest.mark.parametrize(("send", "error"), [(undecodable, ContentDisallowed), (junk, DecodeError)])
def test_on_decode_error_is_given_what_cannot_be_decoded(
    send: Callable[[Connection], None], error: type[Exception], connection: Connection, name: str
) -> None:
    def refuse(message: Message, error: Exception) -> None:
        errors.append(error)
        message.reject()

    errors: list[Exception] = []
    send(connection)
    with connection.Consumer(orders, callbacks=[print], on_decode_error=refuse):
        drain(connection, 1)
        nothing_comes(connection)
    assert [type(each) for each in errors] == [error]
    assert counts(name).total == 0


def test_a_consumer_decodes_what_it_accepts(connection: Connection) -> None:
    undecodable(connection)
    seen: list[Any] = []
    with connection.Consumer(orders, callbacks=[lambda body, message: seen.append(body)], accept=["pickle"]):
        drain(connection, 1)
    assert seen == [{"id": 1}]


FOREIGN = [
    "not json",
    "",
    "null",
    "[]",
    '{"task": "other"}',
    '{"exchange": "", "routing_key": "", "properties": 7}',
    '{"exchange": "", "routing_key": "", "properties": {"headers": ["a"]}}',
    '{"exchange": "", "routing_key": "", "properties": {"headers": "text"}}',
    '{"exchange": "", "routing_key": "", "properties": {"content_type": 5}}',
    '{"exchange": "", "routing_key": "", "properties": {"content_encoding": 5}}',
    '{"exchange": "", "routing_key": "", "properties": {"headers": {"compression": 5}}}',
    '{"exchange": null, "routing_key": 5, "properties": {}}',
]


@pytest.mark.parametrize("head", FOREIGN)
def test_a_message_that_another_program_stored_is_delivered_and_can_be_settled(
    head: str, connection: Connection, name: str
) -> None:
    MemoryStore(name).put([("orders", Envelope(head=head, body=b"raw"))])
    message = take(connection)
    assert (message.body, message.delivery_info["queue"]) == (b"raw", "orders")
    assert isinstance(message.headers, Mapping)
    try:
        assert message.payload in ("raw", b"raw")
    except KombuError as refused:
        assert str(refused)  # noqa: PT017 - either answer will do, another kind of error will not
    message.reject()
    nothing_comes(connection)
    assert counts(name).total == 0
