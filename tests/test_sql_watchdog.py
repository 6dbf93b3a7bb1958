"""The thread that disconnects who waits too long: it takes no watch whose block has ended, and costs little."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from kombu.sql.patience import Watch, Watchdog
from tests.memory import PATIENCE

A_MOMENT = 0.05
AN_HOUR = 3600.0


class Driver:
    """As PyMySQL's: it has its socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock


class SlowDriver:
    """It tells its socket only once it is ``told`` to, and says when it is ``asked``."""

    def __init__(self, sock: socket.socket) -> None:
        self._known = sock
        self.asked, self.told = threading.Event(), threading.Event()

    @property
    def _sock(self) -> socket.socket:
        self.asked.set()
        assert self.told.wait(PATIENCE)
        return self._known


class Counting(Watchdog):
    woken = 0

    def wake_up(self, limit: float) -> None:
        self.woken += 1
        super().wake_up(limit)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        ours.settimeout(PATIENCE)
        yield ours, theirs


def test_who_waits_too_long_is_disconnected(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    with Watch(Driver(ours), A_MOMENT, Watchdog()) as watch:
        assert ours.recv(1) == b""
    assert watch.over


def test_who_has_waited_is_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    dog = Watchdog()
    with Watch(Driver(ours), A_MOMENT, dog) as ended:
        pass
    others, _ = pair = socket.socketpair()
    with closing(pair[0]), closing(pair[1]):
        with Watch(Driver(others), A_MOMENT, dog) as later:
            others.settimeout(PATIENCE)
            assert others.recv(1) == b""
        assert later.over
    assert not ended.over
    theirs.sendall(b"!")
    assert ours.recv(1) == b"!"


def test_a_block_does_not_end_while_it_is_being_disconnected(ends: tuple[socket.socket, socket.socket]) -> None:
    """Its driver might close the socket, and another take the number."""
    driver, ended = SlowDriver(ends[0]), threading.Event()

    def block() -> None:
        with Watch(driver, A_MOMENT, Watchdog()):
            assert driver.asked.wait(PATIENCE)
            leaving.set()
        ended.set()

    leaving = threading.Event()
    with ThreadPoolExecutor() as crew:
        running = crew.submit(block)
        assert leaving.wait(PATIENCE)
        assert not ended.wait(A_MOMENT)
        driver.told.set()
        running.result(PATIENCE)


def test_many_short_blocks_wake_it_once(ends: tuple[socket.socket, socket.socket]) -> None:
    dog, driver = Counting(), Driver(ends[0])
    for _ in range(1000):
        with Watch(driver, AN_HOUR, dog):
            pass
    assert dog.woken == 1


def test_a_shorter_one_is_looked_after_beside_a_longer_one(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    dog = Watchdog()
    with Watch(Driver(theirs), AN_HOUR, dog) as patient, Watch(Driver(ours), A_MOMENT, dog) as watch:
        assert ours.recv(1) == b""
    assert (watch.over, patient.over) == (True, False)
