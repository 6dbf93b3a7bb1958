"""A publish whose connection is cut is stored once, or not, and says which; where nobody knows, it says that."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest

from kombu import Producer, Queue
from kombu.exceptions import ConnectionError, OperationalError, PublishUncertain
from tests.memory import PATIENCE
from tests.outside import blocked, end, locked_messages
from tests.places import ON_POSTGRESQL, ON_SERVERS, Place, but
from tests.processes import engine_of, wait_until
from tests.proxy import Moment, Proxy

INSERT = b"INSERT INTO kombu_message"
COMMIT = {"postgresql": b"COMMIT", "mariadb": b"\x03COMMIT"}
"""As the drivers send it, who also say SET autocommit."""
NOTIFY = b"pg_notify"
AT_ONCE = {"interval_start": 0.01, "interval_step": 0.01, "max_retries": 20}
THREADS = 4

on_servers = pytest.mark.parametrize("place", ON_SERVERS, indirect=True)
on_postgresql = pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
on_mariadb = pytest.mark.parametrize("place", but("sqlite", "postgresql"), indirect=True)
at_any_moment = pytest.mark.parametrize("moment", ["before", "after"])


@pytest.fixture
def proxy(place: Place) -> Proxy:
    return place.proxy()


@pytest.fixture
def producer(place: Place, proxy: Proxy) -> Producer:
    connection = place.connect(place.through(proxy))
    Queue("orders")(connection).declare()
    return connection.Producer(routing_key="orders")


@on_servers
@at_any_moment
@pytest.mark.parametrize("retry", [False, True])
def test_a_publish_that_is_cut_is_uncertain_and_never_repeated(
    place: Place, proxy: Proxy, producer: Producer, moment: Moment, retry: bool
) -> None:
    proxy.cut_at(INSERT, moment)
    with pytest.raises(PublishUncertain, match="may have been stored, or not"):
        producer.publish("cut", retry=retry, retry_policy=AT_ONCE)
    stored = {"before": [], "after": ["cut"]}[moment]
    assert place.bodies() == stored
    producer.publish("next")
    assert place.bodies() == [*stored, "next"]


@on_servers
@at_any_moment
def test_a_long_batch_that_is_cut_while_it_is_committed_is_stored_whole_or_not_at_all(
    place: Place, proxy: Proxy, producer: Producer, moment: Moment
) -> None:
    batch = [f"{number}" for number in range(250)]
    proxy.cut_at(COMMIT[place.database], moment)
    with pytest.raises(PublishUncertain):
        producer.publish_many(batch, retry=True, retry_policy=AT_ONCE)
    assert place.bodies() == {"before": [], "after": batch}[moment]


@on_servers
@pytest.mark.parametrize("how", ["cut", "say_goodbye"])
def test_a_connection_that_was_lost_while_idle_is_replaced_without_an_error(
    place: Place, proxy: Proxy, producer: Producer, how: str
) -> None:
    producer.publish("before")
    getattr(proxy, how)()
    producer.publish("after")
    assert place.bodies() == ["before", "after"]


@on_postgresql
def test_a_publish_that_the_server_ends_is_tried_again_and_stored_once(
    place: Place, proxy: Proxy, producer: Producer
) -> None:
    """PostgreSQL says so before it hangs up, and then nothing was done."""
    with ExitStack() as lock:
        lock.enter_context(locked_messages(place))
        publishing = place.in_background(producer.publish, "kept", retry=True, retry_policy=AT_ONCE)
        wait_until(lambda: blocked(place))
        end(place, first := blocked(place))
        wait_until(lambda: set(blocked(place)) - set(first))
        lock.close()
        publishing.result(PATIENCE)
    assert place.bodies() == ["kept"]


@on_mariadb
@pytest.mark.parametrize("retry", [False, True])
def test_a_publish_that_the_server_ends_without_a_word_is_uncertain(
    place: Place, proxy: Proxy, producer: Producer, retry: bool
) -> None:
    """MariaDB only hangs up, whether it had finished or not."""
    with ExitStack() as lock:
        lock.enter_context(locked_messages(place))
        publishing = place.in_background(producer.publish, "ended", retry=retry, retry_policy=AT_ONCE)
        wait_until(lambda: blocked(place))
        end(place, blocked(place))
        with pytest.raises(PublishUncertain):
            publishing.result(PATIENCE)
        lock.close()
    assert place.bodies() == []


@on_servers
@pytest.mark.parametrize("retry", [False, True])
def test_a_statement_that_the_server_gives_up_is_an_error_and_no_uncertainty(place: Place, retry: bool) -> None:
    connection = place.connect()
    Queue("orders")(connection).declare()
    producer = connection.Producer(routing_key="orders")
    with ExitStack() as lock:
        lock.enter_context(locked_messages(place))
        publishing = place.in_background(producer.publish, "again", retry=retry, retry_policy=AT_ONCE)
        wait_until(lambda: blocked(place))
        end(place, blocked(place), only_what_it_does=True)
        if retry:
            wait_until(lambda: blocked(place))
            lock.close()
            publishing.result(PATIENCE)
        else:
            with pytest.raises(OperationalError) as refused:
                publishing.result(PATIENCE)
            assert not isinstance(refused.value, ConnectionError)
    assert place.bodies() == ["again"] * retry


@on_postgresql
@at_any_moment
def test_what_was_stored_stays_stored_when_nobody_can_be_told(
    place: Place, proxy: Proxy, producer: Producer, moment: Moment, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.cut_at(NOTIFY, moment)
    with caplog.at_level(logging.WARNING):
        producer.publish("kept", retry=True, retry_policy=AT_ONCE)
    assert proxy.struck.is_set()
    assert place.bodies() == ["kept"]
    assert "were not told" in caplog.text
    producer.publish("next")
    assert place.bodies() == ["kept", "next"]


@on_postgresql
def test_what_was_stored_stays_stored_when_the_announcement_is_refused(place: Place, producer: Producer) -> None:
    """Its function is replaced by one that fails, as a full queue of notifications does."""
    with place.engine.begin() as outside:
        outside.exec_driver_sql("CREATE SCHEMA refusing")
        outside.exec_driver_sql(
            "CREATE FUNCTION refusing.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'too many notifications' USING ERRCODE = '54000'; END $$"
        )
        database = place.engine.url.database
        outside.exec_driver_sql(f"ALTER DATABASE {database} SET search_path TO refusing, pg_catalog, public")
    try:
        place.connect(place.url)
        producer.connection.collect()  # type: ignore[union-attr]
        producer.publish("kept", retry=True, retry_policy={**AT_ONCE, "max_retries": 2})
        assert place.bodies() == ["kept"]
    finally:
        with place.engine.begin() as outside:
            outside.exec_driver_sql(f"ALTER DATABASE {database} RESET search_path")
            outside.exec_driver_sql("DROP SCHEMA refusing CASCADE")


@on_servers
def test_threads_whose_common_publish_is_cut_have_each_stored_once_or_not(
    place: Place, proxy: Proxy, producer: Producer
) -> None:
    """Group commit: one thread publishes for all who line up behind it."""
    with ExitStack() as lock:
        lock.enter_context(locked_messages(place))
        leader = place.in_background(producer.publish, "leader")
        wait_until(lambda: blocked(place))
        followers = [
            place.in_background(producer.publish, f"{number}", retry=True, retry_policy=AT_ONCE)
            for number in range(THREADS)
        ]
        wait_until(lambda: in_line(producer) == THREADS)
        proxy.cut_at(INSERT, "after", times=100)
        lock.close()
        leader.result(PATIENCE)
        errors = [type(each.exception(PATIENCE)) for each in followers]
    assert proxy.struck.is_set()
    assert errors == [PublishUncertain] * THREADS
    assert sorted(place.bodies()) == ["0", "1", "2", "3", "leader"]


@on_servers
@at_any_moment
def test_an_acknowledgement_that_is_cut_is_written_again(place: Place, proxy: Proxy, moment: Moment) -> None:
    connection = place.connect(place.through(proxy), lease=60)
    orders = Queue("orders")(connection)
    orders.declare()
    connection.Producer().publish("once", "orders")
    message = orders.get()
    assert message is not None
    proxy.cut_at(b"DELETE FROM kombu_message", moment)
    message.ack()
    wait_until(lambda: not place.bodies())
    assert proxy.struck.wait(PATIENCE)
    connection.close()


@on_servers
@at_any_moment
def test_a_dead_letter_that_is_cut_while_it_is_moved_arrives_once(place: Place, proxy: Proxy, moment: Moment) -> None:
    connection = place.connect(place.through(proxy), settle_delay=0)
    dead = Queue("dead")(connection)
    dead.declare()
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    orders = Queue("orders", queue_arguments=arguments)(connection)
    orders.declare()
    connection.Producer().publish("bad", "orders")
    message = orders.get()
    assert message is not None
    proxy.cut_at(COMMIT[place.database], moment)
    with pytest.raises(ConnectionError):
        message.reject()
    engine_of(connection).ledger.flush()
    assert place.bodies() == ["bad"]
    found = dead.get()
    assert found is not None
    found.ack()


@on_servers
def test_a_claim_whose_answer_is_lost_comes_back_when_its_lease_is_over(place: Place, proxy: Proxy) -> None:
    connection = place.connect(place.through(proxy), lease=0.3)
    orders = Queue("orders")(connection)
    orders.declare()
    connection.Producer().publish("kept", "orders")
    proxy.cut_at({**COMMIT, "postgresql": b"UPDATE kombu_message"}[place.database], "after")
    with pytest.raises(OperationalError):
        orders.get()
    assert proxy.struck.is_set()
    seen: list[str] = []
    wait_until(lambda: seen.append(found.payload) if (found := orders.get(no_ack=True)) else seen)
    assert seen == ["kept"]


def in_line(producer: Producer) -> int:
    """How many threads wait for their turn to publish."""
    publisher = engine_of(producer.connection).publisher  # type: ignore[arg-type]
    return len(getattr(publisher, "_together", publisher)._waiting)
