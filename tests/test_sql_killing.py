"""Processes are killed at random, at any statement: what was published is handled, and by one at a time.

A minute for each database; KOMBU_TEST_KILL_SECONDS in the environment is another number.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kombu import Queue
from tests.background import LONG, eventually
from tests.killing import has_effect
from tests.ledgers import read
from tests.places import Place, places

SECONDS = float(os.environ.get("KOMBU_TEST_KILL_SECONDS", "60"))
DOORS = places("django-sqlite", "django-postgresql", "django-mariadb")
"""Processes with SQLAlchemy come to the same database."""


@pytest.fixture(autouse=True)
def _topology(place: Place) -> None:
    with place.connect() as connection:
        Queue("dead")(connection).declare()
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        Queue("orders", queue_arguments=arguments)(connection).declare()
    with place.engine.begin() as outside:
        outside.exec_driver_sql("DROP TABLE IF EXISTS kombu_test_effect")
        outside.exec_driver_sql("CREATE TABLE kombu_test_effect (id VARCHAR(100))")


@pytest.mark.parametrize("place", DOORS, indirect=True)
def test_what_was_published_is_handled_whoever_is_killed(place: Place, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.killing", str(SECONDS), str(tmp_path), place.url, place.sqla_url]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "published\n"
        eventually(lambda: not place.bodies())
        process.stdin.close()
        assert process.wait(LONG) == 0
    found = read(tmp_path)
    assert found.errors == []
    assert found.kills > SECONDS
    assert len(found.confirmed) > 50 * SECONDS
    assert found.lost() == set()
    assert found.invented() == set()
    assert found.torn() == []
    assert found.doubled() == set()
    assert found.shared() == set()
    assert effects(place) == Counter(filter(has_effect, found.held))


def effects(place: Place) -> Counter[str]:
    """How often each was carried out."""
    with place.engine.connect() as connection:
        return Counter(id for (id,) in connection.exec_driver_sql("SELECT id FROM kombu_test_effect"))
