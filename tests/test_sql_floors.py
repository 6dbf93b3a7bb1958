"""Where a store begins to look for messages is a hint: nothing that is below stays unseen."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from kombu.sql import floors
from kombu.sql.floors import KnownFloors
from kombu.testing import StoreCase, bodies
from kombu.testing.case import QUEUE, message, numbered
from kombu.transport.virtual.store import QueueSpec, Release
from kombu_sqlalchemy import SQLAlchemyStore


class Floors(StoreCase):
    engine: Engine

    @pytest.fixture(autouse=True)
    def _no_hint_grows_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However long a busy machine takes between two claims."""
        monkeypatch.setattr(floors, "_GOOD_FOR", 3600.0)

    def open_store(self) -> SQLAlchemyStore:
        store = SQLAlchemyStore(self.engine)
        store.open()
        return store

    def put_each(self, *texts: str, priority: int = 0) -> None:
        """At times of their own, that is 10 ms apart in the past: SQLite's clock counts milliseconds."""
        self.declare(QUEUE)
        for place, text in enumerate(texts):
            self.store.put([(QUEUE, message(text, priority=priority, delay=place / 100 - 1))])

    def test_what_another_gives_back_is_found_when_fewer_than_wanted_come(self) -> None:
        self.put_each(*numbered(8))
        assert bodies(self.claim(2)) == numbered(8)[:2]
        other = self.handle()
        [third] = other.claim({QUEUE: 1}, 60.0)
        assert bodies(self.claim(2)) == numbered(8)[3:5]
        other.settle([Release(third.lease)])
        assert bodies(self.claim(2)) == numbered(8)[5:7]
        assert bodies(self.claim(2)) == [numbered(8)[2], numbered(8)[7]]

    def test_what_this_one_gives_back_comes_first_again(self) -> None:
        self.put_each(*numbered(6))
        first, _ = self.claim(2)
        self.claim(2)
        self.store.settle([Release(first.lease)])
        assert bodies(self.claim(2)) == [numbered(6)[0], numbered(6)[4]]

    def test_a_while_later_everybody_begins_at_the_beginning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put_each(*numbered(6))
        self.claim(2)
        other = self.handle()
        [third] = other.claim({QUEUE: 1}, 60.0)
        self.claim(1)
        other.settle([Release(third.lease)])
        monkeypatch.setattr(floors, "_GOOD_FOR", -1.0)
        assert bodies(self.claim(1)) == [numbered(6)[2]]

    def test_each_priority_begins_at_its_own_place(self) -> None:
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-max-priority": 2}))
        self.put_each("low 1", "low 2", "low 3", priority=0)
        self.put_each("high 1", "high 2", priority=2)
        assert bodies(self.claim(3)) == ["high 1", "high 2", "low 1"]
        self.put_each("high 3", priority=2)
        assert bodies(self.claim(2)) == ["high 3", "low 2"]


class TestOnSQLite(Floors):
    @pytest.fixture(autouse=True)
    def _engine(self, sqlite_engine: Engine) -> None:
        self.engine = sqlite_engine


@pytest.mark.server("postgresql")
class TestOnPostgreSQL(Floors):
    @pytest.fixture(autouse=True)
    def _engine(self, postgresql_engine: Engine) -> None:
        self.engine = postgresql_engine


@pytest.mark.server("mariadb")
class TestOnMariaDB(Floors):
    @pytest.fixture(autouse=True)
    def _engine(self, mariadb_engine: Engine) -> None:
        self.engine = mariadb_engine


def test_a_floor_is_the_lowest_place_of_the_last_claim() -> None:
    known = KnownFloors()
    known.note("orders", [(1, 7, 0, 1, 1, 0, 0, 500, "", b""), (2, 7, 0, 1, 1, 0, 0, 400, "", b"")])
    known.note("others", [(3, 8, 5, 1, 1, 0, 0, 300, "", b"")])
    assert known.current() == {("orders", 0): 400, ("others", 5): 300}
    known.forget()
    assert known.current() == {}
