"""A connection is opened when needed, brought back when lost, and tells its consumers when it was replaced."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import ConnectionError, InvalidURL, NotFound, OperationalError
from kombu.simple import SimpleBuffer, SimpleQueue
from kombu.transport.base import Channel
from tests.brokers import DriverError, Raw, lost, recording, waking
from tests.memory import Connect, nothing_comes, publish, take

orders = Queue("orders")
AT_ONCE = {"interval_start": 0.0, "interval_step": 0.0, "interval_max": 0.0}


def test_the_default_channel_takes_one_attempt_unless_told_otherwise() -> None:
    transport = waking(1000)
    with pytest.raises(OperationalError, match="attempt 1 failed"):
        _ = Connection("memory://x", transport=transport).default_channel
    assert transport.attempts == 1


@pytest.mark.parametrize(
    ("options", "attempts"),
    [({"max_retries": 2}, 3), ({"max_retries": "2"}, 3), ({"connect_retries_timeout": 0}, 1)],
)
def test_the_default_channel_tries_as_its_options_say(options: dict[str, Any], attempts: int) -> None:
    transport = waking(1000)
    heard: list[str] = []
    told = {**AT_ONCE, **options, "errback": lambda error, pause: heard.append(str(error))}
    with pytest.raises(OperationalError, match=f"attempt {attempts} failed"):
        _ = Connection("memory://x", transport=transport, transport_options=told).default_channel
    assert (transport.attempts, len(heard)) == (attempts, attempts - 1)


def test_retry_options_may_stand_in_the_query_and_never_reach_the_transport(name: str) -> None:
    url = f"memory://{name}?max_retries=3&interval_start=0&interval_step=0&lease=5"
    with Connection(url, transport=waking(3)) as connection:
        assert connection.default_channel.is_open
        assert connection.transport.address.options == {"lease": "5"}


def test_the_callback_of_a_pause_may_end_it() -> None:
    def enough() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Connection("memory://x", transport=waking(1000)).ensure_connection(callback=enough)


def test_a_driver_s_own_error_arrives_as_ours_or_as_it_is() -> None:
    connection = Connection("memory://x", transport=Raw)
    with pytest.raises(OperationalError) as raised:
        connection.ensure_connection(max_retries=1, **AT_ONCE)
    assert isinstance(raised.value.__cause__, DriverError)
    with pytest.raises(DriverError):
        connection.ensure_connection(max_retries=1, reraise_as_library_errors=False, **AT_ONCE)
    with pytest.raises(OperationalError, match="attempt 1 failed"):
        Connection("memory://x", transport=waking(9)).ensure_connection(max_retries=0, reraise_as_library_errors=False)


def test_a_driver_that_gives_up_waiting_has_not_connected() -> None:
    def establish_connection(self: object) -> None:
        raise TimeoutError("no SYN, no ACK")

    transport = recording(establish_connection=establish_connection)
    with pytest.raises(OperationalError, match="no SYN"):
        Connection("h", transport=transport).ensure_connection(max_retries=1, **AT_ONCE)


def test_credentials_are_asked_for_each_time_when_connecting() -> None:
    given = iter([("one", "1"), ("two", "2")])
    transport = recording()
    connection = Connection("u:p@h", transport=transport, credential_provider=lambda: next(given))
    connection.connect()
    connection.reconnect()
    connection.connect()
    assert [(made.address.userid, made.address.password) for made in transport.made] == [("one", "1"), ("two", "2")]
    assert connection.userid == "u"


@pytest.mark.parametrize("given", [None, "user:s3cret", ("user",), ("user", 3)])
def test_credentials_that_are_none_are_refused_without_showing_them(given: Any) -> None:
    with pytest.raises(TypeError, match="not a user and a password") as raised:
        Connection("h", transport=recording(), credential_provider=lambda: given).connect()
    assert "s3cret" not in str(raised.value)
    with pytest.raises(TypeError, match="is not a function"):
        Connection("h", credential_provider=("user", "s3cret"))  # type: ignore[arg-type]


def test_a_password_that_was_asked_for_is_kept_out_of_what_a_driver_says() -> None:
    with pytest.raises(OperationalError, match=r"log in with \*\*$"):
        Connection("h", transport=Raw, credential_provider=lambda: ("user", "s3cret")).connect()


def test_what_fails_for_a_lost_connection_is_done_again_on_another(connection: Connection) -> None:
    heard: list[tuple[str, float]] = []
    revived: list[Channel] = []
    calls: list[tuple[int, str]] = []
    producer = connection.Producer()
    before = producer.channel

    def fun(number: int, word: str) -> int:
        calls.append((number, word))
        if len(calls) < 3:
            lost()
        return len(calls)

    ensured = connection.ensure(
        producer,
        fun,
        errback=lambda error, pause: heard.append((str(error), pause)),
        on_revive=revived.append,
        **AT_ONCE,
    )
    assert (ensured.__name__, ensured(1, word="x")) == ("fun", 3)
    assert calls == [(1, "x")] * 3
    assert heard == [("the broker hung up", 0.0)] * 2
    assert not before.is_open
    assert revived[-1] is producer.channel is connection.default_channel


def test_an_ensured_consumer_goes_on(connect: Connect) -> None:
    connection, seen, failures = connect(), list[Message](), [lost]

    def drain() -> None:
        if failures:
            failures.pop()()
        connection.drain_events(timeout=0)

    with connection.Consumer(orders, on_message=seen.append) as consumer:
        publish(connect(), 1, 2)
        persistent = connection.ensure(consumer, drain, max_retries=2, **AT_ONCE)
        persistent()
        connection.reconnect()
        persistent()
    assert [message.payload for message in seen] == [1, 1]
    assert seen[1].delivery_info["redelivered"]


@pytest.mark.parametrize(("limits", "calls"), [({"max_retries": 2}, 3), ({"max_retries": 0}, 1), ({"timeout": 0}, 1)])
def test_ensuring_ends_at_its_limit_with_the_last_error(
    connection: Connection, limits: dict[str, Any], calls: int
) -> None:
    made: list[int] = []

    def fun() -> None:
        made.append(1)
        raise ConnectionError(f"call {len(made)}")

    with pytest.raises(ConnectionError, match=f"call {calls}"):
        connection.ensure(connection.Producer(), fun, **AT_ONCE, **limits)()
    assert len(made) == calls


def test_ensuring_pauses_only_after_the_second_failure(connection: Connection) -> None:
    pauses: list[float] = []

    def errback(error: Exception, pause: float) -> None:
        pauses.append(pause)
        if pause:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connection.ensure(connection.Producer(), lost, errback=errback, interval_start=50, interval_max=50)()
    assert pauses[0] == 0.0
    assert 40 <= pauses[1] <= 50


def test_a_refused_operation_is_not_done_again_unless_asked_for(connection: Connection) -> None:
    calls: list[int] = []

    def fun() -> None:
        calls.append(1)
        raise NotFound("no queue")

    producer = connection.Producer()
    before = connection.connect()
    with pytest.raises(NotFound):
        connection.ensure(producer, fun, **AT_ONCE)()
    assert len(calls) == 1
    with pytest.raises(NotFound):
        connection.ensure(producer, fun, max_retries=2, retry_errors=(NotFound,), **AT_ONCE)()
    assert (len(calls), connection.connect()) == (4, before)


def test_a_driver_s_error_ends_ensuring_as_ours(connection: Connection) -> None:
    def fun() -> None:
        raise DriverError("s3cret")

    raw = Connection("memory://u:s3cret@h", transport=recording(connection_errors=(OperationalError, DriverError)))
    with pytest.raises(OperationalError, match=r"\*\*@h: \*\*") as raised:
        raw.ensure(raw, fun, max_retries=1, **AT_ONCE)()
    assert isinstance(raised.value.__cause__, DriverError)


def test_autoretry_hands_over_the_channel_as_it_is_then(connection: Connection) -> None:
    used: list[Channel] = []

    def fun(word: str, channel: Channel) -> str:
        used.append(channel)
        if len(used) == 1:
            lost()
        return word

    own = connection.channel()
    assert connection.autoretry(fun, own, **AT_ONCE)("x") == ("x", connection.default_channel)
    assert used == [own, connection.default_channel]
    assert connection.autoretry(fun)(word="y") == ("y", connection.default_channel)


def test_a_lost_connection_is_replaced_and_closed() -> None:
    transport = recording()
    with Connection("h", transport=transport) as connection:
        channel = connection.default_channel
        connection.declared_entities.add("x")
        transport.made[0].cut()
        assert not connection.connected
        assert connection.default_channel is not channel
        assert connection.connected
        assert connection.declared_entities == set()
        assert transport.made[0].events == ["channel", "close"]


def test_the_default_channel_is_opened_again_when_it_was_closed() -> None:
    transport = recording()
    with Connection("h", transport=transport) as connection:
        first = connection.default_channel
        connection.maybe_close_channel(first)
        assert connection.default_channel is not first
        assert len(transport.made) == 1


def test_giving_up_a_broken_connection_raises_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    transport = recording()
    connection = Connection("u:s3cret@h", transport=transport)
    for give_up in (connection.reconnect, connection.collect):
        connection.connect()
        transport.made[-1].failing["close"] = OperationalError("broken pipe to s3cret")
        give_up()
        assert not connection.connected
    assert len(caplog.records) == 2
    assert "broken pipe to **" in caplog.text
    assert "s3cret" not in caplog.text


def test_closing_a_broken_connection_says_that_acknowledgements_may_be_lost() -> None:
    transport = recording()
    connection = Connection("h", transport=transport)
    connection.connect()
    transport.made[0].failing["close"] = OperationalError("broken pipe")
    with pytest.raises(OperationalError, match="broken pipe"):
        connection.close()
    assert not connection.connected
    connection.close()


def test_an_error_of_the_connection_is_what_leaves_the_block() -> None:
    transport = recording()
    with pytest.raises(ConnectionError, match="hung up"), Connection("h", transport=transport) as connection:
        connection.connect()
        transport.made[0].failing["close"] = OperationalError("broken pipe")
        lost()


def test_consumers_of_a_connection_that_was_replaced_are_told_once() -> None:
    transport = recording()
    connection = Connection("h", transport=transport)
    connection.connect()
    transport.made[0].consuming = True
    transport.made[0].cut()
    connection.connect()
    with pytest.raises(ConnectionError, match="replaced"):
        connection.drain_events(timeout=1)
    connection.drain_events(timeout=1)
    assert transport.made[1].events == ["drain_events 1"]


def test_draining_a_lost_connection_connects_and_tells_its_consumers() -> None:
    transport = recording()
    connection = Connection("h", transport=transport)
    connection.connect()
    transport.made[0].consuming = True
    transport.made[0].cut()
    with pytest.raises(ConnectionError, match="replaced"):
        connection.drain_events()
    assert transport.made[1].events == []


def test_who_met_the_loss_while_draining_is_not_told_again() -> None:
    transport = recording()
    connection = Connection("h", transport=transport)
    connection.connect()
    transport.made[0].consuming = True
    transport.made[0].failing["drain_events"] = ConnectionError("reset by peer")
    with pytest.raises(ConnectionError, match="reset by peer"):
        connection.drain_events()
    connection.reconnect()
    connection.connect()
    connection.drain_events(timeout=3)
    assert transport.made[1].events == ["drain_events 3"]


def test_an_interrupt_before_there_is_a_connection_counts_for_the_next_drain() -> None:
    transport = recording()
    connection = Connection("h", transport=transport)
    connection.interrupt()
    with pytest.raises(TimeoutError):
        connection.drain_events()
    connection.drain_events()
    connection.interrupt()
    assert transport.made[0].events == ["drain_events None", "interrupt"]


def test_heartbeats_are_looked_for_on_the_open_connection_only() -> None:
    transport = recording()
    connection = Connection("h", transport=transport, heartbeat=10)
    connection.heartbeat_check()
    assert transport.made == []
    connection.connect()
    connection.heartbeat_check(rate=4)
    transport.made[0].failing["heartbeat_check"] = ConnectionError("two were missed")
    with pytest.raises(ConnectionError, match="missed"):
        connection.heartbeat_check()
    assert transport.made[0].events == ["heartbeat_check 4", "heartbeat_check 2"]


def test_reviving_a_connection_puts_another_default_channel_in_place(connection: Connection) -> None:
    before, new = connection.default_channel, connection.channel()
    connection.revive(new)
    assert (connection.default_channel, before.is_open) == (new, False)
    connection.revive(new)
    assert new.is_open


def test_a_channel_that_cannot_be_closed_is_reported_and_let_go(caplog: pytest.LogCaptureFixture) -> None:
    transport = recording()
    connection = Connection("h", transport=transport)
    channel = connection.channel()
    transport.made[0].failing["channel.close"] = ConnectionError("gone")
    connection.maybe_close_channel(channel)
    assert "gone" in caplog.text


def test_switching_goes_to_the_other_broker_with_the_next_use(name: str) -> None:
    with Connection(f"memory://{name}") as connection:
        orders(connection).declare()
        before = connection.connect()
        connection.switch(f"{name}2")
        assert (before.connected, connection.connected) == (False, False)
        assert connection.as_uri() == f"memory://{name}2"
        with pytest.raises(NotFound):
            connection.default_channel.queue_declare("orders", passive=True)
        with pytest.raises(InvalidURL):
            connection.switch("memory://h:port")
        assert connection.as_uri() == f"memory://{name}2"


def test_simple_queues_are_made_on_it(connection: Connection) -> None:
    with connection.SimpleQueue("jobs") as jobs, connection.SimpleBuffer("hints", no_ack=True) as hints:
        assert (type(jobs), type(hints)) == (SimpleQueue, SimpleBuffer)
        jobs.put({"id": 1})
        hints.put("there")
        message = jobs.get(timeout=1)
        assert (message.payload, hints.get(timeout=1).payload) == ({"id": 1}, "there")
        message.ack()
    with connection.SimpleQueue("jobs", channel=connection.channel()) as jobs:
        assert jobs.qsize() == 0


def test_closing_gives_back_and_the_connection_may_be_used_again(connect: Connect) -> None:
    connection = connect()
    orders(connection).declare()
    publish(connection, 1)
    take(connection)
    connection.close()
    assert take(connection).payload == 1
    connection.release()
    nothing_comes(connection)


def test_what_the_driver_logs_is_not_ours_to_silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Connection("h", transport=recording()) as connection:
        connection.connect()
    assert caplog.records == []
