"""Programs with Django and programs with SQLAlchemy meet in one database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from kombu import Connection, Exchange, Message, Queue
from kombu_django import connections as links
from tests import servers
from tests.settings import DATA

ANSWERS = Queue("answers", Exchange("", "direct"), "answers", max_priority=3)


def sqla(alias: str) -> str:
    """SQLAlchemy's way to the database of Django's alias."""
    name = str(connections[alias].settings_dict["NAME"])
    match alias:
        case "postgresql":
            return f"sqla+{servers.postgresql_url(name)}"
        case "mariadb":
            return f"sqla+{servers.mariadb_url(name)}"
        case _:
            return f"sqla+sqlite:///{DATA / 'default.sqlite3'}"


class OneDatabase:
    alias: str

    def both(self) -> tuple[Connection, Connection]:
        return Connection(f"django://{self.alias}"), Connection(sqla(self.alias))

    def test_processes_exchange_messages_both_ways(self) -> None:
        with Connection(f"django://{self.alias}") as connection, echo(sqla(self.alias), 20):
            ANSWERS(connection).declare()
            producer = connection.Producer()
            for number in range(20):
                producer.publish({"number": number}, "questions", headers={"each": "größe"}, priority=number % 4)
            seen = take(connection, ANSWERS, 20)
        assert sorted(body["answer"]["number"] for body, _ in seen) == list(range(20))
        assert all(message.headers["each"] == "größe" for _, message in seen)

    def test_each_door_sees_at_once_what_the_other_declares(self) -> None:
        django, sqlalchemy = self.both()
        with django, sqlalchemy:
            shop = Exchange("shop", "topic")
            Queue("orders", shop, "order.*")(django).declare()
            sqlalchemy.Producer().publish(1, "order.made", exchange="shop")
            Queue("invoices", shop, "order.#")(sqlalchemy).declare()
            django.Producer().publish(2, "order.made", exchange="shop")
            assert [body for body, _ in take(django, Queue("invoices"), 1)] == [2]
            assert [body for body, _ in take(sqlalchemy, Queue("orders"), 2)] == [1, 2]

    def test_a_lease_of_one_door_holds_against_the_other(self) -> None:
        django, sqlalchemy = self.both()
        with django, sqlalchemy:
            orders = Queue("orders")
            orders(django).declare()
            django.Producer().publish(1, "orders")
            held = orders(sqlalchemy).get()
            assert held is not None
            assert orders(django).get() is None
            held.requeue()
            [(_, again)] = take(django, orders, 1)
            assert again.delivery_info["delivery_count"] == 2


@pytest.mark.usefixtures("tables")
class TestOnSQLite(OneDatabase):
    alias = "default"


@pytest.mark.server("postgresql")
@pytest.mark.usefixtures("postgresql_tables")
class TestOnPostgreSQL(OneDatabase):
    alias = "postgresql"


@pytest.mark.server("mariadb", "mysqlclient")
@pytest.mark.usefixtures("mariadb_tables")
class TestOnMariaDB(OneDatabase):
    alias = "mariadb"


def take(connection: Connection, queue: Queue, count: int) -> list[tuple[Any, Message]]:
    seen: list[tuple[Any, Message]] = []

    def handle(body: Any, message: Message) -> None:
        seen.append((body, message))
        message.ack()

    with connection.Consumer(queue, callbacks=[handle]):
        while len(seen) < count:
            connection.drain_events(timeout=30)
    return seen


@contextmanager
def echo(url: str, count: int) -> Iterator[None]:
    """A process that answers so many messages, ready when this is entered."""
    links.close_all()
    program = [sys.executable, "-m", "tests.echo", url, str(count)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        assert process.wait(60) == 0
