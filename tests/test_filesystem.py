"""The filesystem transport with folders as people have them: wrong, full, read-only, and with strangers in them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kombu import Connection, Queue
from kombu.exceptions import (
    AccessRefused,
    ConnectionError,
    InvalidURL,
    KombuError,
    NotFound,
    NotSupported,
    OperationalError,
)
from kombu.testing import bodies, message
from kombu.transport.filesystem import FileStore, line, locks, state
from kombu.transport.filesystem.names import Name, first_place, folder_name, message_id, read_name
from kombu.transport.virtual.deadline import Deadline
from kombu.transport.virtual.store import Delivery, Done, QueueSpec, Release
from tests.disks import small_disk

ORDERS = "orders"
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def store(path: Path) -> FileStore:
    return opened(path)


def opened(path: Path, **options: float) -> FileStore:
    store = FileStore(str(path), sync=False, **options)
    store.open()
    store.declare(QueueSpec(name=ORDERS))
    return store


def put(store: FileStore, *texts: str, delay: float = 0.0) -> None:
    for text in texts:
        store.put([(ORDERS, message(text, delay=delay))])


def take(store: FileStore, limit: int = 10) -> list[Delivery]:
    return store.claim({ORDERS: limit}, 60.0)


def ready_files(path: Path) -> list[Path]:
    return sorted(file for file in (path / "queues" / ORDERS / "ready").rglob("*") if file.is_file())


def test_who_begins_to_wait_while_a_message_is_put_into_its_place_is_told_of_it(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put, given back, and due: by then the record of the queue has to say something new."""
    seen: list[int] = []
    moving = line.move

    def look_first(*arguments: Any, **options: Any) -> str:
        seen.append(changes())
        return moving(*arguments, **options)

    def changes() -> int:
        found = state.look_at_state(store.folders(ORDERS).lock)
        assert found is not None
        return found.changes

    monkeypatch.setattr(line, "move", look_first)
    put(store, "a")
    assert seen
    assert changes() not in seen
    [delivery] = take(store)
    seen.clear()
    store.settle([Release(delivery.lease)])
    assert seen
    assert changes() not in seen


class TestURL:
    def test_three_slashes_are_from_the_working_directory_and_four_from_the_root(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parent)
        with Connection("filesystem:///spool") as here, Connection(f"filesystem:///{path}") as there:
            here.SimpleQueue(ORDERS).put("a")
            monkeypatch.chdir("/")
            assert there.SimpleQueue(ORDERS).get(timeout=10).payload == "a"

    def test_the_folder_may_stand_in_the_options(self, path: Path) -> None:
        for options in ({"data_folder": path}, {"data_folder_in": path, "data_folder_out": path}):
            with Connection("filesystem://", transport_options=options) as connection:
                connection.SimpleQueue(ORDERS).put("a")
        assert opened(path).counts([ORDERS])[ORDERS].ready == 2

    @pytest.mark.parametrize(
        ("url", "options", "said"),
        [
            ("filesystem://", {}, "which folder"),
            ("filesystem://spool/orders", {}, "three slashes"),
            ("filesystem:///a", {"data_folder": "b"}, "a and b"),
            ("filesystem://", {"data_folder_in": "in", "data_folder_out": "out"}, "one spool folder serves"),
            ("filesystem:///a", {"store_processed": True}, "leave the option out"),
            ("filesystem:///a?sync=perhaps", {}, "sync='perhaps' must be yes or no"),
            ("filesystem:///a?colour=red", {}, "unknown transport option 'colour'"),
            ("filesystem:///a%00b", {}, "no path can have"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_with_a_hint(
        self, url: str, options: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InvalidURL, match=said):
            Connection(url, transport_options=options).connect()
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_used_otherwise_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("chapter one")
        with pytest.raises(InvalidURL, match=r"thesis\.txt"):
            Connection(f"filesystem:///{tmp_path}").connect()
        assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]

    def test_a_folder_that_cannot_be_made_is_named(self) -> None:
        with pytest.raises(OperationalError, match="spool /proc/kombu: the folder cannot be made"):
            Connection("filesystem:////proc/kombu").connect()

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OperationalError, match="file"):
            Connection(f"filesystem:///{tmp_path}/file").connect()

    def test_a_spool_of_a_newer_format_is_left_alone(self, path: Path) -> None:
        opened(path)
        (path / "kombu-spool.json").write_text('{"format": 2}')
        with pytest.raises(OperationalError, match="upgrade Kombu"):
            FileStore(str(path)).open()

    def test_a_system_without_such_locks_is_told(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(locks, "flock", None)
        with pytest.raises(NotSupported, match="flock"):
            Connection(f"filesystem:///{path}").connect()


class TestNames:
    NAMES = (
        "orders",
        "Orders",
        "ORDERS",
        "^orders",
        "%4frders",
        ".",
        "..",
        "../orders",
        "a/b",
        "a%2fb",
        "nul\0nul",
        "größe",
        "gro\u0308ße",
        "注" * 255,
        "注" * 254 + "文",
        "x" * 255,
        "X" * 255,
        "x" * 254 + "/",
        "\ud800",
        "a.b",
        "~",
        "orders~",
        " orders ",
        "con",
    )

    def test_no_two_queues_have_one_folder_and_all_stay_in_theirs(self) -> None:
        found = [folder_name(name) for name in self.NAMES]
        assert len({name.lower() for name in found}) == len(self.NAMES)
        for name in found:
            assert name.isascii()
            assert "/" not in name
            assert name[:1] not in ("", ".")
            assert len(name) <= 200

    def test_common_names_can_be_read_by_people(self) -> None:
        assert folder_name("mail.out-going_1") == "mail.out-going_1"
        assert folder_name("Mail out") == "^mail%20out"
        assert folder_name("m" * 255).startswith("mmmmmm")

    def test_a_files_name_is_read_back_as_it_was_written(self) -> None:
        name = Name(id=message_id(5, 9, 77), place=600, at=17, count=3, size=1024, expires=99, token="abc-258")
        assert read_name(str(name)) == name
        assert first_place(name.id) == (name.priority, 5)

    @pytest.mark.parametrize(
        "text", ["", "notes.txt", "a.b.c.d.e.f.g", ".nfs0001", f"{Name(id=message_id(1, 0, 0), place=1)}~"]
    )
    def test_other_files_are_no_messages(self, text: str) -> None:
        assert read_name(text) is None


class TestStrangers:
    def test_files_of_others_are_kept_reported_and_in_nobodys_way(
        self, path: Path, store: FileStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, "a")
        put(store, "b", delay=3600)
        store.put([(ORDERS, message("mortal", ttl=1e-6))])
        store.settle([Done(each.lease) for each in store.sweep(10, 60.0)])
        queue = path / "queues" / ORDERS
        folders = [
            path,
            path / "queues",
            path / "staging",
            path / "commits",
            *{each.parent for each in queue.rglob("*")},
        ]
        (queue / "mortal" / "0" / "0").mkdir(parents=True)
        folders.append(queue / "mortal" / "0" / "0")
        strangers = [folder / name for folder in folders if folder.is_dir() for name in ("README.txt", "abc.def")]
        for stranger in strangers:
            stranger.write_text("please keep")
        with caplog.at_level(logging.WARNING):
            again = opened(path)
            assert again.counts([ORDERS])[ORDERS].ready == 1
            [delivery] = take(again)
            assert again.settle([Done(delivery.lease)]) == [True]
            assert again.sweep(10, 60.0) == []
            again.wait([ORDERS], 0.0)
            put(again, "c")
            assert bodies(take(again)) == ["c"]
            assert again.purge(ORDERS) == 1
        assert all(stranger.read_text() == "please keep" for stranger in strangers)
        assert "README.txt" in caplog.text

    def test_what_others_wrote_into_a_messages_file_is_handed_on_as_it_is(self, path: Path, store: FileStore) -> None:
        put(store, "a")
        [file] = ready_files(path)
        file.write_bytes(b"\xff\x00 something else")
        with Connection(f"filesystem:///{path}") as connection:
            received = Queue(ORDERS)(connection).get()
            assert received is not None
            assert received.body == b"\xff\x00 something else"
            assert received.delivery_info["routing_key"] == ""
            received.ack()

    @pytest.mark.parametrize("left", [0, 5, 30, -1])
    def test_a_message_of_which_a_part_is_missing_is_set_aside_and_never_delivered(
        self, path: Path, store: FileStore, left: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, "torn", "whole")
        torn = ready_files(path)[0]
        torn.write_bytes(torn.read_bytes()[:left])
        assert bodies(take(store)) == ["whole"]
        assert len(list((path / "queues" / ORDERS / "damaged").iterdir())) == 1
        assert "cannot be read" in caplog.text
        assert store.counts([ORDERS])[ORDERS].total == 1

    def test_a_queue_whose_folder_was_removed_by_hand_goes_on(
        self, path: Path, store: FileStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, "lost")
        (path / "queues" / ORDERS).rename(path.parent / "elsewhere")
        put(store, "a")
        assert bodies(take(store)) == ["a"]
        assert "was not there" in caplog.text

    def test_a_queue_whose_lock_was_removed_by_hand_has_its_messages_still(self, path: Path, store: FileStore) -> None:
        put(store, "a")
        (path / "queues" / ORDERS / "lock").unlink()
        put(store, "b")
        assert bodies(take(store)) == ["a", "b"]

    def test_a_damaged_topology_is_named(self, path: Path, store: FileStore) -> None:
        (path / "topology.json").write_bytes(b"\xff\xfe")
        with pytest.raises(KombuError, match="damaged"):
            put(store, "a")
        (path / "topology.json").write_text('{"queues": ')
        with pytest.raises(KombuError, match="damaged"):
            put(store, "a")

    def test_a_damaged_list_of_users_is_one_without_users(self, path: Path, store: FileStore) -> None:
        store.declare(QueueSpec(name="mine", auto_delete=True))
        (path / "queues" / "mine" / "users").write_text("{")
        assert store.attending(["mine"]) == {"mine": []}
        assert store.expire_queues() == []


class TestPowerFailure:
    def test_a_record_from_before_the_last_start_is_made_anew_and_nothing_is_overwritten(
        self, path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock = path / "queues" / ORDERS / "lock"
        fresh = lock.read_bytes()
        put(store, "a", "b", "c")
        lock.write_bytes(fresh)  # what was renamed is on the disk, what the record said is not
        monkeypatch.setattr(state, "_boot", b"another")
        put(store, "d")
        assert bodies(take(opened(path))) == ["a", "b", "c", "d"]

    def test_even_a_record_that_is_too_old_overwrites_nothing(self, path: Path, store: FileStore) -> None:
        lock = path / "queues" / ORDERS / "lock"
        fresh = lock.read_bytes()
        put(store, "a", "b")
        lock.write_bytes(fresh)
        put(store, "c", "d")
        assert sorted(bodies(take(store))) == ["a", "b", "c", "d"]

    @pytest.mark.parametrize("record", [b"", b"\0" * 160, b"junk"])
    def test_a_damaged_record_is_made_anew(self, path: Path, store: FileStore, record: bytes) -> None:
        put(store, "a")
        put(store, "later", delay=3600)
        (path / "queues" / ORDERS / "lock").write_bytes(record)
        assert store.purge("nobody") == 0
        with store.line(ORDERS):
            pass  # to have looked is enough
        assert state.look_at_state(str(path / "queues" / ORDERS / "lock")) is not None
        put(store, "b")
        assert bodies(take(store)) == ["a", "b"]
        assert store.counts([ORDERS])[ORDERS].delayed == 1


DYING = """
import os, signal, sys
from kombu.testing import message
from kombu.transport.filesystem import FileStore

class Dying(FileStore):
    def {method}(self, *args):
        os.kill(os.getpid(), signal.SIGKILL)

store = Dying(sys.argv[1])
store.open()
store.put([(queue, message(text)) for queue, text in (("orders", "a"), ("copies", "a"), ("orders", "b"))])
"""


class TestDeath:
    @pytest.mark.parametrize(("method", "stored"), [("_store_batch", []), ("_commit", []), ("throw_away", ["a", "b"])])
    def test_a_batch_is_stored_as_a_whole_or_not_at_all(
        self, path: Path, store: FileStore, method: str, stored: list[str]
    ) -> None:
        store.declare(QueueSpec(name="copies"))
        run(DYING.format(method=method), path)
        assert bodies(take(store)) == stored
        assert bodies(store.claim({"copies": 10}, 60.0)) == stored[:1]

    def test_a_batch_that_was_committed_to_is_put_into_its_queues_by_the_next_who_comes(
        self, path: Path, store: FileStore
    ) -> None:
        """The publisher dies right after the rename that counts."""
        store.declare(QueueSpec(name="copies"))
        run(DYING.format(method="_Dying__none") + COMMITS_AND_DIES, path)
        assert len(list((path / "commits").iterdir())) == 1
        assert bodies(store.claim({"copies": 10}, 60.0)) == ["a", "x"]
        assert bodies(take(store)) == ["a", "b", "x", "y"]
        assert list((path / "commits").iterdir()) == []

    def test_a_lock_dies_with_its_owner(self, path: Path, store: FileStore) -> None:
        holder = subprocess.Popen([sys.executable, "-c", HOLDS_A_LOCK, path], stdout=subprocess.PIPE)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        impatient = FileStore(str(path), patience=0.2)
        with pytest.raises(OperationalError, match=r"lock was locked by another process for 0\.2 seconds"):
            impatient.put([(ORDERS, message("a"))])
        with Deadline(0.3), pytest.raises(OperationalError, match=r"by another process for 0\.[23]\d* seconds"):
            store.put([(ORDERS, message("a"))])
        holder.kill()
        holder.communicate()
        impatient.put([(ORDERS, message("a"))])
        assert bodies(take(store)) == ["a"]

    def test_what_was_left_half_written_is_removed_when_it_is_old(self, path: Path, store: FileStore) -> None:
        old, new = path / "staging" / "old", path / "staging" / "new"
        for file in (old, new):
            file.write_text("half a mess")
        os.utime(old, (0, 0))
        opened(path)
        assert (old.exists(), new.exists()) == (False, True)
        assert store.counts([ORDERS])[ORDERS].total == 0

    def test_the_remains_of_a_deleted_queue_are_not_in_its_successor(self, path: Path, store: FileStore) -> None:
        """Whoever deleted it died after the topology had forgotten it."""
        put(store, "old")
        store.forget_queue(ORDERS)
        store.declare(QueueSpec(name=ORDERS))
        assert take(store) == []


COMMITS_AND_DIES = """
class Dying(FileStore):
    def take_in(self, line):
        if os.listdir(sys.argv[1] + "/commits"):
            os.kill(os.getpid(), signal.SIGKILL)

store = Dying(sys.argv[1])
store.put([(queue, message(text)) for queue, text in (("orders", "x"), ("copies", "x"), ("orders", "y"))])
"""
HOLDS_A_LOCK = """
import sys
from kombu.transport.filesystem import FileStore
with FileStore(sys.argv[1]).line("orders"):
    print("locked", flush=True)
    sys.stdin.read()
    import time; time.sleep(600)
"""


def run(program: str, path: Path) -> None:
    subprocess.run([sys.executable, "-c", program, path], timeout=60, check=False)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Not root, who has every right."""
    root = not os.geteuid()
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    with small_disk(tmp_path / "small", "1m") as folder:
        yield folder


class TestDisk:
    def test_on_a_full_disk_nothing_counts_that_is_not_whole_and_what_is_there_can_be_had(self, mounted: Path) -> None:
        path = mounted / "spool"
        store, stored = opened(path), 0
        large = message("large", body=b"x" * 100_000)
        with pytest.raises(OperationalError, match="no space left"):
            for stored in range(1000):  # noqa: B007
                store.put([(ORDERS, large)])
        with pytest.raises(OperationalError, match="no space left"):
            store.put([(ORDERS, large)] * 20)
        (mounted / "rest").write_bytes(b"x" * (os.statvfs(mounted).f_bavail * os.statvfs(mounted).f_bsize))
        assert store.counts([ORDERS])[ORDERS].total == stored > 0
        with Connection(f"filesystem:///{path}") as connection:
            received: list[bytes] = []
            with connection.Consumer(
                Queue(ORDERS), on_message=lambda m: (received.append(m.body), m.ack()), auto_declare=False
            ):
                while len(received) < stored:
                    connection.drain_events(timeout=10)
        assert received == [large.body] * stored
        assert store.counts([ORDERS])[ORDERS].total == 0
        store.put([(ORDERS, large)])

    def test_a_read_only_folder_is_named_as_one(self, mounted: Path) -> None:
        put(opened(mounted / "spool"), "a")
        subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
        with pytest.raises(OperationalError, match="is read-only"):
            Connection(f"filesystem:///{mounted}/spool").connect()
        subprocess.run(["mount", "-o", "remount,rw", mounted], check=True)
        assert bodies(take(opened(mounted / "spool"))) == ["a"]

    def test_a_folder_without_rights_is_named(self, path: Path) -> None:
        store = opened(path)
        put(store, "a")
        path.chmod(0)
        with somebody_else(), pytest.raises(AccessRefused, match="may not do that"):
            FileStore(str(path)).open()
        with somebody_else(), pytest.raises(AccessRefused, match="may not do that"):
            put(store, "b")
        path.chmod(0o700)
        assert bodies(take(store)) == ["a"]


class TestLife:
    def test_settled_messages_leave_nothing_behind(self, path: Path, store: FileStore) -> None:
        before = {each.relative_to(path) for each in path.rglob("*") if each.is_file()}
        for _ in range(3):
            store.put([(ORDERS, message(str(n), ttl=3600.0)) for n in range(600)])
            store.settle([Done(each.lease) for _ in range(2) for each in take(store, 300)])
        assert {each.relative_to(path) for each in path.rglob("*") if each.is_file()} == before
        assert len(list((path / "queues" / ORDERS / "ready").rglob("*"))) <= 4

    def test_another_handle_settles_and_extends_what_this_one_claimed(self, path: Path, store: FileStore) -> None:
        put(store, "a", "b")
        a, b = take(store)
        other = opened(path)
        assert other.extend([a.lease], 60.0) == [a.lease]
        assert other.settle([Done(b.lease), Done(a.lease)]) == [True, True]

    def test_a_handle_with_very_many_leases_finds_them_all(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kombu.transport.filesystem.store._MOST_KNOWN", 2)
        put(store, *"abcdef")
        leases = [take(store, 1)[0].lease for _ in range(6)]
        assert store.settle([Done(lease) for lease in leases]) == [True] * 6

    def test_a_spool_that_was_removed_is_missed_and_made_anew_when_connecting(
        self, path: Path, store: FileStore
    ) -> None:
        with Connection(f"filesystem:///{path}") as connection:
            Queue(ORDERS)(connection).declare()
            path.rename(path.parent / "elsewhere")
            with pytest.raises(ConnectionError, match="the folder is gone"):
                Queue(ORDERS)(connection).get()
            connection.reconnect()
            with pytest.raises(NotFound):
                Queue(ORDERS)(connection).get()

    def test_the_topology_is_a_document_that_people_can_read(self, path: Path, store: FileStore) -> None:
        assert json.loads((path / "topology.json").read_text())["queues"][0]["name"] == ORDERS
