"""Processes that share a spool are killed at random, at any system call: what was published is handled, whole batches
or nothing of them, and by one process at a time.

Five seconds, twice; KOMBU_TEST_SPOOL_SECONDS in the environment is another number.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kombu import Connection, Queue
from tests.background import LONG, eventually
from tests.ledgers import read

SECONDS = float(os.environ.get("KOMBU_TEST_SPOOL_SECONDS", "5"))


@pytest.mark.parametrize("sync", ["no", "yes"])
def test_what_was_published_is_handled_whoever_is_killed(tmp_path: Path, sync: str) -> None:
    spool, ledgers = tmp_path / "spool", tmp_path / "ledgers"
    ledgers.mkdir()
    url = f"filesystem:///{spool}?sync={sync}"
    with Connection(url) as connection:
        Queue("dead")(connection).declare()
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        Queue("orders", queue_arguments=arguments)(connection).declare()
        program = [sys.executable, "-m", "tests.killing_anywhere", str(SECONDS), str(ledgers), url]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "published\n"
            eventually(lambda: is_empty(connection))
            process.stdin.close()
            assert process.wait(LONG) == 0
    found = read(ledgers)
    assert found.errors == []
    assert found.kills > SECONDS
    assert len(found.confirmed) > 20 * SECONDS
    assert found.lost() == set()
    assert found.invented() == set()
    assert found.torn() == []
    assert found.doubled() == set()
    assert found.shared() == set()
    assert left(spool) == []


def is_empty(connection: Connection) -> bool:
    store = connection.connection.store  # type: ignore[attr-defined]
    return not any(counts.total for counts in store.counts(["orders", "dead"]).values())


def left(spool: Path) -> list[Path]:
    """Messages that nobody will ever see."""
    return [file for folder in ("commits", "queues") for file in (spool / folder).rglob("*.*") if file.is_file()]
