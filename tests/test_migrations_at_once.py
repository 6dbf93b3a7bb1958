"""Many processes may bring the tables up, or open a fresh database, at the same time: all of them succeed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kombu_sqlalchemy import migrating
from kombu_sqlalchemy.state import look

if TYPE_CHECKING:
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]

PROCESSES = 8
PATIENCE = 120
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _fresh(doors: Doors) -> None:
    """Of SQLite not even the file is there."""
    if doors.kind == "sqlite":
        Path(str(doors.engine.url.database)).unlink()


def test_eight_processes_upgrade_at_once(doors: Doors) -> None:
    said = crowd("upgrade", doors)
    assert sorted(said[1::2]) == ["  kombu_0004 as before"] * 7 + ["  no tables -> kombu_0004"]
    assert noted(doors) == ["kombu_0004"]


def test_eight_processes_upgrade_in_transactions_of_their_own_at_once(doors: Doors) -> None:
    crowd("within", doors)
    assert noted(doors) == ["kombu_0004"]


@pytest.mark.parametrize("made_by", ["migrate", "upgrade"])
def test_eight_processes_upgrade_older_tables_at_once(made_by: str, doors: Doors) -> None:
    getattr(doors, made_by)("0001" if made_by == "migrate" else "kombu_0001")
    crowd("upgrade", doors)
    assert noted(doors) == ["kombu_0004"]


def test_eight_processes_open_a_fresh_database_at_once_and_work(doors: Doors) -> None:
    assert sorted(crowd("work", doors)) == [str(number) for number in range(PROCESSES)]
    assert doors.look(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM kombu_message").scalar()) == 0


def test_some_open_a_fresh_database_while_others_upgrade_it(doors: Doors) -> None:
    crowd("both", doors)
    assert noted(doors) == ["kombu_0004"]


def noted(doors: Doors) -> list[str]:
    """What the version table says, of tables that are current."""
    assert doors.look(lambda connection: look(connection, migrating.scripts())).is_current
    rows = doors.look(lambda connection: connection.exec_driver_sql("SELECT version_num FROM kombu_alembic").fetchall())
    return [row[0] for row in rows]


def crowd(doing: str, doors: Doors) -> list[str]:
    """The lines that they write, when all have succeeded."""
    command = [sys.executable, "-W", "error", "-m", "tests.crowd", str(PROCESSES), doing, doors.url]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.splitlines()
