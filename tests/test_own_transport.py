"""The example of a transport of one's own is a good one: both suites, its URL, and how it is run."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from examples import own_transport
from examples.own_transport import FileStore, Transport
from kombu import Connection, Queue
from kombu.exceptions import InvalidURL, OperationalError
from kombu.testing import StoreConformance, TopologyConformance
from kombu.transport import get_transport_cls

EXAMPLE = Path(own_transport.__file__)


class TestItsStore(StoreConformance, TopologyConformance):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "queues.sqlite3")

    def open_store(self) -> FileStore:
        store = FileStore(self.path)
        store.open()
        return store

    def test_a_document_that_was_replaced_meanwhile_is_not_replaced(self) -> None:
        mine, other = FileStore(self.path), FileStore(self.path)
        for store in (mine, other):
            store.open()
            self._handles.append(store)
        _, read = mine.read_document()
        assert other.write_document("the other's", 1, read)
        assert not mine.write_document("mine", 2, read)
        assert mine.read_document() == ("the other's", 1)


def test_it_runs_as_a_program() -> None:
    said = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True)
    assert said.stdout == "received {'order': 1}\n"


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 160


def test_it_is_found_by_its_place(tmp_path: Path) -> None:
    with Connection(f"examples.own_transport.Transport:///{tmp_path}/queues.sqlite3") as connection:
        assert connection.get_transport_cls() is Transport
        assert Queue("orders")(connection).declare() == "orders"
    assert (tmp_path / "queues.sqlite3").exists()


def test_a_distribution_gives_it_a_scheme_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "sqlite_file-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sqlite-file\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kombu.transports]\nsqlite-file = examples.own_transport:Transport\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert get_transport_cls("sqlite-file") is Transport


def test_a_url_without_a_file_says_how_to_name_one() -> None:
    with pytest.raises(InvalidURL, match=r"sqlite-file:///"):
        Connection("examples.own_transport.Transport://").connect()


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match=r"no such folder"):
        Connection(f"examples.own_transport.Transport:///{tmp_path}/no such folder/q.sqlite3").connect()


def test_many_that_open_a_new_file_at_once_do_not_race(tmp_path: Path) -> None:
    def open_and_close(_: int) -> None:
        store = FileStore(str(tmp_path / "queues.sqlite3"))
        store.open()
        store.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_and_close, range(32))) == [None] * 32
