"""Forks, green threads, plug-ins and files: what the system has is used, and its absence is no error."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from kombu.utils.compat import (
    FILENO_ERRORS,
    _detect_environment,
    coro,
    detect_environment,
    entrypoints,
    fileno,
    maybe_fileno,
    nested,
    register_after_fork,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class Pool:
    def __init__(self) -> None:
        self.log: list[str] = []


def in_a_child(tell: Pool) -> str:
    """What the pool's log has in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, " ".join(tell.log).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return told


def test_what_is_registered_is_called_in_the_child_only() -> None:
    pool = Pool()
    register_after_fork(pool, lambda pool: pool.log.append("forked"))
    assert in_a_child(pool) == "forked"
    assert pool.log == []


def test_an_error_keeps_no_other_from_being_called(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool()

    def broken(pool: Pool) -> None:
        pool.log.append("broken")
        raise RuntimeError("no")

    monkeypatch.setattr(sys, "unraisablehook", lambda report: pool.log.append(type(report.exc_value).__name__))
    register_after_fork(pool, broken)
    register_after_fork(pool, lambda pool: pool.log.append("called"))
    assert in_a_child(pool) == "broken called ExceptionGroup"


def test_registering_keeps_nothing_alive() -> None:
    pool, other = Pool(), Pool()
    register_after_fork(pool, lambda pool: other.log.append("called"))
    del pool
    gc.collect()
    assert in_a_child(other) == ""


def test_what_cannot_be_watched_is_refused() -> None:
    with pytest.raises(TypeError, match="weak reference"):
        register_after_fork(7, print)


def test_the_threads_are_the_systems_unless_somebody_replaced_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_environment() == _detect_environment() == "default"
    replaced = SimpleNamespace(is_module_patched=lambda name: name == "socket", is_monkey_patched=lambda name: False)
    monkeypatch.setitem(sys.modules, "eventlet.patcher", replaced)
    monkeypatch.setitem(sys.modules, "gevent.monkey", replaced)
    assert detect_environment() == "gevent"
    monkeypatch.setattr(replaced, "is_monkey_patched", lambda name: name == "socket")
    assert detect_environment() == "eventlet"


def test_plug_ins_are_found_by_their_group() -> None:
    found = {entry.name: loaded for entry, loaded in entrypoints("kombu.transports") if entry.name == "memory"}
    assert found["memory"].__module__ == "kombu.transport.memory"
    assert list(entrypoints("kombu.no_such_group")) == []


def test_contexts_are_entered_in_order_and_left_in_reverse() -> None:
    log: list[str] = []

    @contextmanager
    def opened(name: str) -> Iterator[str]:
        log.append(f"+{name}")
        try:
            yield name
        finally:
            log.append(f"-{name}")

    with pytest.raises(KeyError), nested(opened("a"), opened("b")) as (a, b):
        assert (a, b) == ("a", "b")
        raise KeyError
    assert log == ["+a", "+b", "-b", "-a"]


def test_a_coroutine_can_be_sent_to_at_once() -> None:
    heard: list[int] = []

    @coro
    def listen(twice: bool) -> Generator[None, int, None]:
        while True:
            heard.append((yield) * (2 if twice else 1))

    listening = listen(twice=True)
    listening.send(1)
    listening.send(2)
    listening.close()
    assert heard == [2, 4]


def test_the_number_of_a_file() -> None:
    with open(os.devnull) as file:
        assert fileno(file) == maybe_fileno(file) == file.fileno()
    assert fileno(7) == 7
    for without in (io.StringIO(), object(), file):
        assert maybe_fileno(without) is None
        with pytest.raises(FILENO_ERRORS):
            fileno(without)
