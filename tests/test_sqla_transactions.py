"""With SQLAlchemy, messages are part of the caller's transaction: published and acknowledged with it, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import LeaseLost, MessageReturned, NotSupported, OperationalError

ORDERS = Queue("orders", Exchange("shop", "topic"), "order.*")


class InTransactions:
    engine: Engine

    @pytest.fixture(autouse=True)
    def _connected(self, database: Engine) -> Iterator[None]:
        self.engine = database
        with self.engine.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS done_orders"))
            connection.execute(text("CREATE TABLE done_orders (id INTEGER)"))
        with self.connect() as self.connection:
            ORDERS(self.connection).declare()
            self.producer = self.connection.Producer(exchange=ORDERS.exchange, routing_key="order.made")
            yield

    def connect(self) -> Connection:
        return Connection(f"sqla+{self.engine.url.render_as_string(hide_password=False)}")

    def get(self) -> Message | None:
        """As somebody else would."""
        with self.connect() as connection:
            message = ORDERS(connection).get()
            if message is not None:
                message.ack()
            return message

    def done(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT COUNT(*) FROM done_orders")).scalar_one())

    def test_a_message_published_in_a_transaction_is_delivered_once_that_commits(self) -> None:
        with Session(self.engine) as session:
            session.execute(text("INSERT INTO done_orders VALUES (1)"))
            self.producer.publish({"id": 1}, within=session)
            if self.engine.dialect.name != "sqlite":
                assert self.get() is None
            session.commit()
        message = self.get()
        assert message is not None
        assert (message.payload, self.done()) == ({"id": 1}, 1)

    def test_a_message_published_in_a_rolled_back_transaction_is_never_delivered(self) -> None:
        with Session(self.engine) as session:
            session.execute(text("INSERT INTO done_orders VALUES (1)"))
            self.producer.publish({"id": 1}, within=session)
            self.producer.publish_many([{"id": number} for number in range(250)], within=session)
            session.rollback()
        assert (self.get(), self.done()) == (None, 0)

    def test_a_bare_connection_will_do(self) -> None:
        with self.engine.connect() as connection:
            self.producer.publish(1, within=connection)
            connection.rollback()
            self.producer.publish(2, within=connection)
            connection.commit()
        message = self.get()
        assert message is not None
        assert message.payload == 2

    def test_a_scoped_session_will_do(self) -> None:
        sessions = scoped_session(sessionmaker(self.engine))
        self.producer.publish(1, within=sessions)
        sessions.commit()
        sessions.remove()
        assert self.get() is not None

    def test_what_a_savepoint_takes_back_is_not_delivered_and_the_rest_is(self) -> None:
        with Session(self.engine) as session:
            self.producer.publish(1, within=session)
            with session.begin_nested() as savepoint:
                self.producer.publish(2, within=session)
                savepoint.rollback()
            self.producer.publish(3, within=session)
            session.commit()
        first, second = self.get(), self.get()
        assert first is not None
        assert second is not None
        assert ([first.payload, second.payload], self.get()) == ([1, 3], None)

    def test_an_acknowledgement_in_a_transaction_that_commits_is_final(self) -> None:
        self.producer.publish({"id": 1})
        message = ORDERS(self.connection).get()
        assert message is not None
        with Session(self.engine) as session, session.begin():
            session.execute(text("INSERT INTO done_orders VALUES (1)"))
            message.ack(within=session)
        message.ack()
        assert (self.get(), self.done()) == (None, 1)

    def test_an_acknowledgement_that_rolls_back_leaves_the_message_with_its_consumer(self) -> None:
        self.producer.publish({"id": 1})
        message = ORDERS(self.connection).get()
        assert message is not None
        with Session(self.engine) as session:
            session.execute(text("INSERT INTO done_orders VALUES (1)"))
            message.ack(within=session)
            session.rollback()
        message.requeue()
        with self.connect() as other:
            again = take(other)
        assert (again.delivery_info["delivery_count"], self.done()) == (2, 0)

    def test_who_has_lost_the_lease_cannot_acknowledge_in_a_transaction(self) -> None:
        with self.connect() as owner:
            self.producer.publish({"id": 1})
            message = ORDERS(owner).get()
            assert message is not None
            with self.engine.begin() as connection:
                connection.execute(text("UPDATE kombu_message SET lease_token = 1"))
            with Session(self.engine) as session, pytest.raises(LeaseLost):
                message.ack(within=session)

    def test_in_a_transaction_too_what_reaches_no_queue_is_said(self) -> None:
        with Session(self.engine) as session, pytest.raises(MessageReturned, match=r"'shop'.*'invoice'"):
            self.producer.publish(1, "invoice", mandatory=True, within=session)

    def test_a_topology_that_others_changed_is_seen_in_the_transaction(self) -> None:
        self.producer.publish(1)
        with self.connect() as other:
            Queue("copies", ORDERS.exchange, "order.#")(other).declare()
        with Session(self.engine) as session:
            self.producer.publish(2, within=session)
            session.commit()
        copy = Queue("copies")(self.connection).get()
        assert copy is not None
        assert copy.payload == 2
        copy.ack()

    def test_all_of_a_connection_may_happen_in_one_transaction_of_the_callers(self) -> None:
        with self.engine.connect() as outer:
            inside = Connection("sqla://", transport_options={"connection": outer})
            with inside:
                Queue("new", Exchange("shop", "topic"), "new.*")(inside).declare()
                inside.Producer(exchange=ORDERS.exchange).publish(1, "new.one")
            assert outer.in_transaction()
            outer.rollback()
        with self.connect() as connection, pytest.raises(Exception, match="no queue 'new'"):
            Queue("new")(connection).queue_declare(passive=True)

    def test_a_connection_that_commits_each_statement_is_refused(self) -> None:
        committing = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with committing as connection, pytest.raises(OperationalError, match="commits each statement"):
            self.producer.publish(1, within=connection)

    def test_so_is_one_of_an_engine_that_does(self) -> None:
        engine = create_engine(self.engine.url, isolation_level="AUTOCOMMIT")
        with Session(engine) as session, pytest.raises(OperationalError, match=r"commits each statement.*isolation"):
            self.producer.publish(1, within=session)
        with engine.connect() as connection, pytest.raises(OperationalError, match="commits each statement"):
            Connection("sqla://", transport_options={"connection": connection}).connect()
        with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection, connection.begin():
            self.producer.publish(2, within=connection)
        engine.dispose()
        message = self.get()
        assert message is not None
        assert message.payload == 2

    def test_another_database_and_what_is_no_connection_are_refused(self, tmp_path: Path) -> None:
        other = create_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
        with Session(other) as session, pytest.raises(NotSupported, match=r"other\.sqlite3"):
            self.producer.publish(1, within=session)
        with pytest.raises(NotSupported, match="Connection or Session"):
            self.producer.publish(1, within="the transaction")
        other.dispose()

    def test_an_engine_that_the_program_has_is_used(self) -> None:
        with Connection("sqla://", transport_options={"engine": self.engine}) as connection:
            connection.Producer().publish(1, "orders")
        assert self.get() is not None


class TestOnSQLite(InTransactions):
    @pytest.fixture
    def database(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine


@pytest.mark.server("postgresql")
class TestOnPostgreSQL(InTransactions):
    @pytest.fixture
    def database(self, postgresql_engine: Engine) -> Engine:
        return postgresql_engine


@pytest.mark.server("mariadb")
class TestOnMariaDB(InTransactions):
    @pytest.fixture
    def database(self, mariadb_engine: Engine) -> Engine:
        return mariadb_engine


def take(connection: Connection) -> Message:
    seen: list[Message] = []

    def handle(body: Any, message: Message) -> None:
        message.ack()
        seen.append(message)

    with connection.Consumer(ORDERS, callbacks=[handle]):
        connection.drain_events(timeout=10)
    return seen[0]
