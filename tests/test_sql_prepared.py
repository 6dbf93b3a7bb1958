"""What is sent often is prepared on the servers that can, and goes on where that is lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from kombu import Connection, Queue
from kombu.sql import POSTGRESQL, Database
from kombu.sql.statements import Statements, statements
from tests.places import ON_POSTGRESQL, ON_SERVERS, WITH_EVERY_DRIVER, Place
from tests.processes import engine_of

ORDERS = Queue("orders")


class Sender:
    """Publishes by one connection, and knows what of that was prepared."""

    def __init__(self, place: Place, **options: object) -> None:
        self._connection = place.connect(**options)
        ORDERS(self._connection).declare()
        self._producer = self._connection.Producer()
        self.database: Database = engine_of(self._connection).store.database
        self._postgresql = place.database == "postgresql"
        self.names = set(self._prepared())

    def publish(self, times: int) -> int:
        """How many statements that store were prepared and are, since this began."""
        for number in range(times):
            self._producer.publish(number, "orders")
        return len(set(self._prepared()) - self.names)

    def forget(self) -> None:
        """The server forgets all that it has prepared for this session."""
        if self._postgresql:
            self.say("DISCARD ALL")
        else:
            for name in self._prepared():
                self.say(f"DEALLOCATE PREPARE {name}")

    def say(self, words: str) -> None:
        with self.database.session():
            self.driver.cursor().execute(words)

    def count(self) -> int:
        channel = self._connection.channel()
        return channel.connection.store.counts(["orders"])["orders"].ready  # type: ignore[attr-defined,no-any-return]

    @property
    def driver(self) -> Any:
        with self.database.session():
            return self.database.driver

    def _prepared(self) -> list[str]:
        with self.database.session():
            if self._postgresql:
                stores = "SELECT name FROM pg_prepared_statements WHERE starts_with(statement, 'INSERT')"
                return [row[0] for row in self.database.fetch(stores)]
            return list(_ways(self.database)._often.names.values())  # type: ignore[attr-defined]


def _ways(database: Any) -> Statements:
    """The session's: MariaDB does not tell what it has prepared."""
    here = database._here
    return here.link.statements if hasattr(here, "link") else database._statements()  # type: ignore[no-any-return]


@pytest.mark.parametrize("place", ON_SERVERS, indirect=True)
class TestOften:
    def test_what_is_sent_often_is_prepared_once(self, place: Place) -> None:
        sender = Sender(place)
        assert [sender.publish(3), sender.publish(1), sender.publish(5), sender.publish(5)] == [0, 1, 1, 1]
        assert sender.count() == 14

    def test_what_the_server_has_forgotten_is_sent_and_prepared_anew(self, place: Place) -> None:
        sender = Sender(place)
        assert sender.publish(6) == 1
        sender.forget()
        assert sender.publish(1) == 0
        assert sender.publish(4) == 1
        assert sender.count() == 11

    def test_two_stores_at_one_session_do_not_prepare_the_same_name(self, place: Place) -> None:
        sender = Sender(place)
        assert sender.publish(6) == 1
        with sender.database.session():
            another = statements(sender.driver, sender.database.dialect, question_marks=False, prepare=True)
            for _ in range(5):
                assert another.run("UPDATE kombu_message SET priority = %s", [0]) == 6
            assert list(_ways(sender.database)._often.names.values()) != list(another._often.names.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", WITH_EVERY_DRIVER, indirect=True)
def test_values_arrive_as_they_are_before_and_after_it_is_prepared(place: Place) -> None:
    connection = place.connect()
    queue = Queue("Ünïcode ' \" \\ % ; -- 1")(connection)
    queue.declare()
    bodies = [bytes(range(256)), b"", b"%s \\ ' \x00", "snow ☃ \\' %s".encode()]
    for _ in range(3):
        for body in bodies:
            connection.Producer().publish(body, queue.name, headers={"☃ '\\%s": "\0 \\ ' %"}, content_encoding="binary")
    got = []
    while (message := queue.get(no_ack=True)) is not None:
        got.append((message.body, message.headers["☃ '\\%s"]))
    assert got == [(body, "\0 \\ ' %") for body in bodies] * 3


@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
class TestPostgreSQL:
    def test_psycopg_says_what_it_has_no_simple_value_for(self, place: Place) -> None:
        sender = Sender(place)
        with sender.database.session():
            ways = statements(sender.driver, POSTGRESQL, question_marks=False, prepare=True)
            for number in (1, 2, 3, 4, 2.5):
                assert (
                    ways.run("CREATE TEMPORARY TABLE IF NOT EXISTS numbers AS SELECT %s::float8", [number]) is not None
                )
            with pytest.raises(sender.driver.DataError, match="NUL"):
                ways.run("SELECT %s::text", ["\0"])

    def test_an_error_of_what_is_prepared_is_psycopgs(self, place: Place) -> None:
        sender = Sender(place)
        with sender.database.session():
            ways = statements(sender.driver, POSTGRESQL, question_marks=False, prepare=True)
            for _ in range(5):
                ways.run("SET LOCAL statement_timeout = 0", [])
                assert ways.run("SELECT 1 / %s::bigint", [1]) == 1
            with pytest.raises(sender.driver.DataError, match="division by zero") as caught:
                ways.run("SELECT 1 / %s::bigint", [0])
        assert caught.value.sqlstate == "22012"
        assert caught.value.diag.severity == "ERROR"


@pytest.mark.server("postgresql")
def test_psycopg_prepares_for_the_application_as_before(postgresql_engine: Engine) -> None:
    """When a connection goes back to its pool."""
    engine = create_engine(postgresql_engine.url, pool_size=1, max_overflow=0)
    with Connection("sqla://", transport_options={"engine": engine}) as connection:
        ORDERS(connection).declare()
    with engine.connect() as again:
        assert again.connection.dbapi_connection.prepare_threshold == 5  # type: ignore[union-attr]
    engine.dispose()
