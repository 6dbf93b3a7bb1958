"""Arguments of queues and exchanges that RabbitMQ would ignore are refused by name, over both drivers."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from kombu import Connection, Exchange, Queue
from kombu.exceptions import NotSupported
from kombu.transport.native.options import read_options
from tests.rabbitmq import url

pytestmark = pytest.mark.server("rabbitmq")


@pytest.fixture(params=["amqp", "pika"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connection(scheme: str, host: str) -> Iterator[Connection]:
    with Connection(url(scheme, host)) as made:
        yield made


def test_an_unknown_argument_of_a_queue_is_refused_and_what_is_known_is_told(
    connection: Connection, scheme: str
) -> None:
    name = uuid4().hex
    said = rf"queue '{name}': transport '{scheme}' .*'x-max-lenght'.*x-max-length, .*plugin_arguments=x-max-lenght"
    with pytest.raises(NotSupported, match=said):
        Queue(name, queue_arguments={"x-max-lenght": 5})(connection).declare()
    Queue(name, queue_arguments={"x-max-length": 5, "nothing-of-the-brokers": 1})(connection).declare()
    Queue(name, queue_arguments={"x-nonsense": 5})(connection).queue_declare(passive=True)


def test_an_unknown_argument_of_an_exchange_is_refused_and_what_is_known_is_told(
    connection: Connection, scheme: str
) -> None:
    name = uuid4().hex
    said = rf"exchange '{name}': transport '{scheme}' .*'x-nope'.*alternate-exchange, .*plugin_arguments=x-nope"
    with pytest.raises(NotSupported, match=said):
        Exchange(name, arguments={"x-nope": 5})(connection).declare()
    Exchange(name, arguments={"alternate-exchange": "amq.fanout", "hash-header": "key"})(connection).declare()
    Exchange(name, arguments={"x-nope": 5})(connection).declare(passive=True)


def test_an_unknown_argument_of_a_consumer_is_refused(connection: Connection, scheme: str) -> None:
    queue = Queue(uuid4().hex, consumer_arguments={"x-prority": 5})(connection)
    queue.declare()
    with pytest.raises(NotSupported, match=rf"'{queue.name}': transport '{scheme}' .*'x-prority'.*x-priority"):
        queue.consume(callback=print)


def test_the_arguments_of_plug_ins_are_passed_on_where_they_are_named(scheme: str, host: str) -> None:
    options = {"plugin_arguments": ["x-message-deduplication", "x-cache-size"]}
    with Connection(url(scheme, host), transport_options=options) as connection:
        Queue(uuid4().hex, queue_arguments={"x-message-deduplication": True})(connection).declare()
        Exchange(uuid4().hex, arguments={"x-cache-size": 5})(connection).declare()
        with pytest.raises(NotSupported, match="x-cache-siez"):
            Exchange(uuid4().hex, arguments={"x-cache-siez": 5})(connection).declare()
    with Connection(url(scheme, host, query="?plugin_arguments=x-cache-size,%20x-cache-ttl")) as connection:
        Exchange(uuid4().hex, arguments={"x-cache-size": 5, "x-cache-ttl": 5})(connection).declare()


def test_a_full_quorum_queue_has_no_dead_letters_of_what_it_refuses(connection: Connection, scheme: str) -> None:
    given = {"x-queue-type": "quorum", "x-max-length": 2}
    said = f"'{scheme}'.*x-overflow='reject-publish-dlx'.*quorum.*reject-publish"
    with pytest.raises(NotSupported, match=said):
        Queue(uuid4().hex, queue_arguments={**given, "x-overflow": "reject-publish-dlx"})(connection).declare()
    Queue(uuid4().hex, queue_arguments={**given, "x-overflow": "reject-publish"})(connection).declare()
    Queue(uuid4().hex, queue_arguments={"x-overflow": "reject-publish-dlx"})(connection).declare()


def test_names_of_arguments_are_read_from_text_and_from_sequences() -> None:
    assert read_options({}).plugin_arguments == frozenset()
    for given in ("x-a,x-b", " x-a , x-b,", ["x-a", "x-b"], ("x-b", "x-a"), {"x-a", "x-b"}):
        assert read_options({"plugin_arguments": given}).plugin_arguments == {"x-a", "x-b"}
