"""An application that commits itself, without ``atomic``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings

from kombu import Connection, Message, Queue
from kombu.exceptions import MessageReturned, NotSupported, OperationalError
from kombu.sql.liveness import is_dead
from kombu_django import consumer
from kombu_django.conf import get_config
from kombu_django.consuming import Worker
from kombu_django.registry import registry
from tests.background import Errors, eventually, running
from tests.outside import end
from tests.places import Place, places
from tests.processes import engine_of

ON_DJANGO = places("django-sqlite", "django-postgresql", "django-mariadb")


@contextmanager
def committing_oneself(alias: str) -> Iterator[None]:
    transaction.set_autocommit(False, using=alias)
    try:
        yield
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)


@pytest.mark.parametrize("place", ON_DJANGO, indirect=True)
def test_a_connection_that_is_lost_while_it_is_made_is_no_such_transaction(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django turns autocommit on when it has connected, which a server that is going down does not answer any more."""
    alias = place.url.removeprefix("django://")
    wrapper, failures = type(connections[alias]), [True]
    turn_on = wrapper._set_autocommit

    def fail_once(self: BaseDatabaseWrapper, autocommit: bool) -> None:
        if failures:
            failures.clear()
            with self.wrap_database_errors:
                raise self.Database.OperationalError(2006, "Server has gone away")
        turn_on(self, autocommit)

    def go_on() -> None:
        with pytest.raises(OperationalError):
            Connection(place.url).connect()
        with Connection(place.url) as connection:
            connection.Producer().publish("afterwards", "orders", declare=[Queue("orders")])
            assert not connections[alias].in_atomic_block
            assert connections[alias].autocommit

    monkeypatch.setattr(wrapper, "_set_autocommit", fail_once)
    place.in_background(go_on).result(30)
    assert failures == []
    assert place.bodies() == ["afterwards"]


@pytest.mark.parametrize("place", ON_DJANGO, indirect=True)
@pytest.mark.parametrize("fails", [False, True], ids=["committed", "rolled-back"])
def test_a_connection_that_is_lost_at_the_end_of_a_transaction_of_kombus_is_no_such_transaction(
    place: Place, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django turns autocommit on again when it has committed or rolled back; ``atomic`` leaves it off if that fails."""
    alias = place.url.removeprefix("django://")
    wrapper, failures = type(connections[alias]), list[bool]()
    turn = wrapper._set_autocommit

    def fail_once(self: BaseDatabaseWrapper, autocommit: bool) -> None:
        if autocommit and not failures:
            failures.append(True)
            with self.wrap_database_errors:
                raise self.Database.OperationalError(2006, "Server has gone away")
        turn(self, autocommit)

    def go_on() -> None:
        with Connection(place.url) as connection:
            database = engine_of(connection).store.database
            with (
                monkeypatch.context() as patched,
                pytest.raises(OperationalError),
                database.session(),
                database.transaction(),
            ):
                database.fetch("SELECT 1")
                patched.setattr(wrapper, "_set_autocommit", fail_once)
                if fails:
                    database.fetch("SELECT nothing")
            assert failures
            connection.Producer().publish("afterwards", "orders", declare=[Queue("orders")])
            assert not connections[alias].in_atomic_block
            assert connections[alias].autocommit

    place.in_background(go_on).result(30)
    assert place.bodies() == ["afterwards"]


@pytest.mark.parametrize("place", ON_DJANGO, indirect=True)
class TestManualCommits:
    def test_what_is_published_is_part_of_the_applications_transaction(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        producer = place.connect().Producer()
        Queue("orders")(producer.channel).declare()
        with committing_oneself(alias):
            producer.publish("rolled back", "orders")
            transaction.rollback(using=alias)
            producer.publish("committed", "orders")
            producer.publish_many(["with it"], routing_key="orders")
            assert place.bodies() == []
            transaction.commit(using=alias)
            assert place.bodies() == ["committed", "with it"]

    def test_so_is_what_names_it_as_the_transaction(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        producer = place.connect().Producer()
        Queue("orders")(producer.channel).declare()
        with committing_oneself(alias):
            producer.publish("rolled back", "orders", within=alias)
            transaction.rollback(using=alias)
            producer.publish("committed", "orders", within=alias)
            assert place.bodies() == []
            transaction.commit(using=alias)
            assert place.bodies() == ["committed"]

    def test_so_is_an_acknowledgement(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        message = delivered(place.connect())
        with committing_oneself(alias):
            message.ack(within=alias)
            transaction.rollback(using=alias)
            assert place.bodies() == ["order"]
            message.ack(within=alias)
            assert place.bodies() == ["order"]
            transaction.commit(using=alias)
            assert place.bodies() == []
        message.ack()

    def test_an_acknowledgement_that_was_rolled_back_leaves_the_message_to_be_requeued(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        connection = place.connect()
        message = delivered(connection)
        with committing_oneself(alias):
            message.ack(within=alias)
            transaction.rollback(using=alias)
        message.requeue()
        again = Queue("orders")(connection).get()
        assert again is not None
        assert (again.payload, again.delivery_info["redelivered"]) == ("order", True)

    def test_where_it_is_over_nothing_is_acknowledged_in_it(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        message = delivered(place.connect())
        with committing_oneself(alias):
            pass
        with pytest.raises(OperationalError, match="no transaction is open"):
            message.ack(within=alias)
        assert place.bodies() == ["order"]

    def test_so_is_a_batch_of_many_statements(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        producer = place.connect().Producer()
        Queue("orders")(producer.channel).declare()
        with committing_oneself(alias):
            producer.publish_many(map(str, range(250)), routing_key="orders")
            transaction.rollback(using=alias)
            assert place.bodies() == []
            producer.publish_many(map(str, range(250)), routing_key="orders")
            transaction.commit(using=alias)
            assert len(place.bodies()) == 250

    def test_so_is_a_declaration(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        producer = place.connect().Producer()
        with committing_oneself(alias):
            Queue("orders")(producer.channel).declare()
            producer.publish("rolled back", "orders", mandatory=True)
            transaction.rollback(using=alias)
        with pytest.raises(MessageReturned):
            producer.publish("to nobody", "orders", mandatory=True)
        Queue("orders")(producer.channel).declare()
        producer.publish("stored", "orders", mandatory=True)
        assert place.bodies() == ["stored"]

    def test_closing_a_connection_leaves_it_open(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        connections[alias].close()
        connection = place.connect()
        Queue("orders")(connection).declare()  # now Django's connection is one that this one has opened
        with committing_oneself(alias):
            connection.Producer().publish("order", "orders")
            connection.close()
            transaction.commit(using=alias)
            assert place.bodies() == ["order"]

    def test_others_do_not_publish_within_it(self, place: Place) -> None:
        """Whoever has the turn: it is this thread's own connection."""
        alias = place.url.removeprefix("django://")
        connection = place.connect()
        Queue("orders")(connection).declare()
        store = connection.channel().connection.store  # type: ignore[attr-defined]
        with committing_oneself(alias):
            assert store.in_transaction
            assert place.in_background(lambda: store.in_transaction).result() is False

    def test_settings_without_autocommit_are_refused(self, place: Place) -> None:
        with pytest.raises(NotSupported, match="AUTOCOMMIT=False"):
            Connection(place.aliased(AUTOCOMMIT=False)).connect()


@pytest.mark.parametrize("place", places("django-postgresql", "django-mariadb"), indirect=True)
def test_a_transaction_that_the_server_has_ended_is_not_gone_on_with_in_another(place: Place) -> None:
    alias = place.url.removeprefix("django://")
    producer = place.connect().Producer()
    Queue("orders")(producer.channel).declare()
    with committing_oneself(alias):
        producer.publish("lost", "orders")
        end(place, [own_process(alias)])
        eventually(lambda: is_dead(connections[alias].connection))
        with pytest.raises(OperationalError):
            producer.publish("next", "orders")
        connections[alias].close()
    assert place.bodies() == []
    producer.publish("stored", "orders")
    assert place.bodies() == ["stored"]


@pytest.mark.parametrize("place", places("django-postgresql"), indirect=True)
def test_a_transaction_that_has_failed_is_the_applications_to_roll_back(place: Place) -> None:
    alias = place.url.removeprefix("django://")
    producer = place.connect().Producer()
    Queue("orders")(producer.channel).declare()
    with committing_oneself(alias):
        with pytest.raises(DatabaseError), connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        with pytest.raises(OperationalError, match="transaction is aborted"):
            producer.publish("too late", "orders")
        transaction.rollback(using=alias)
        producer.publish("rolled back", "orders")
        transaction.rollback(using=alias)
        producer.publish("stored", "orders")
        transaction.commit(using=alias)
    assert place.bodies() == ["stored"]


@pytest.mark.usefixtures("tables", "registered")
@pytest.mark.parametrize("place", places("django-postgresql", "django-mariadb"), indirect=True)
def test_a_consumer_goes_on_whatever_a_handler_has_left_behind(place: Place) -> None:
    """As Django does between two requests: what is no use any more is connected anew."""
    alias, seen = place.url.removeprefix("django://"), list[object]()
    ready, errors = threading.Event(), Errors()

    @consumer(Queue("orders"), using="own", atomic=False)
    def handle(body: object, message: Message) -> None:
        seen.append(body)
        if len(seen) == 1:
            transaction.set_autocommit(False, using=alias)
            end(place, [own_process(alias)])
            eventually(lambda: is_dead(connections[alias].connection))

    with override_settings(KOMBU={"own": {"URL": place.url, "DATABASE": "default"}}):
        worker = Worker(get_config("own"), registry.handlers("own"), tick=0.05)
        with running(lambda: worker.run(ready.set), worker.stop, errors):
            eventually(ready.is_set, errors)
            producer = place.connect().Producer()
            producer.publish("order", "orders")
            eventually(lambda: seen and place.bodies() == [], errors)
            producer.publish("next", "orders")
            eventually(lambda: seen[-1] == "next" and place.bodies() == [], errors)


def own_process(alias: str) -> int:
    """The server's, for this thread's connection."""
    with connections[alias].cursor() as cursor:
        function = "pg_backend_pid" if connections[alias].vendor == "postgresql" else "CONNECTION_ID"
        cursor.execute(f"SELECT {function}()")
        [(number,)] = cursor.fetchall()
    return int(number)


def delivered(connection: Connection) -> Message:
    """The only message of its queue, not acknowledged yet."""
    orders = Queue("orders")(connection)
    orders.declare()
    connection.Producer().publish("order", "orders")
    message = orders.get()
    assert message is not None
    return message
