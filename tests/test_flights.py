"""The test project: the main job, both ways, with processes killed on the way; and what it says to bad input."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parent.parent / "testproject"
WEEK = SITE / "data" / "nyc-departures-week1.csv"
HEADER, GOOD, OTHER = WEEK.read_text().splitlines()[:3]


def demo(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SITE / "demo.py"), "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def manage(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FLIGHTS_DATA": str(data), "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, str(SITE / "manage.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.parametrize(
    ("way", "title"), [("same-database", "same database"), ("outbox", "outbox")], ids=["same-database", "outbox"]
)
def test_nothing_is_lost_or_doubled_when_a_consumer_is_killed(way: str, title: str, tmp_path: Path) -> None:
    done = demo(tmp_path, "--way", way, "--rows", "1000", "--lease", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    line = "published 980 · processed 980 · lost 0 · duplicated 0 · rolled back 20, never delivered"
    assert f"{title}: {line}" in done.stdout
    assert "killed consumer-1 (SIGKILL)" in done.stdout


@pytest.mark.parametrize("way", ["same-database", "outbox"])
def test_whoever_is_killed_at_whatever_moment_the_numbers_are_the_same(way: str, tmp_path: Path) -> None:
    """Consumers, relay and importer, at random; each is started again."""
    done = demo(tmp_path, "--way", way, "--rows", "2500", "--lease", "1", "--chaos", "10", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SIGKILL") == 10
    assert "published 2450 · processed 2450 · lost 0 · duplicated 0 · rolled back 50, never delivered" in done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("flights")
    made = manage(data, "migrate", "--verbosity", "0")
    assert made.returncode == 0, made.stderr
    return data


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "line 1, field year: no header"),
        (HEADER.replace("carrier,", "") + "\n" + GOOD, "line 1, field carrier: the column is missing"),
        (f"{HEADER}\n{GOOD}\n{OTHER.replace(',529,', ',soon,')}\n", "line 3, field sched_dep_time: 'soon'"),
        (f"{HEADER}\n{GOOD}\n{OTHER[:40]}\n", "line 3, field origin: the line ends before it"),
        (f"{HEADER}\n{GOOD}\n{OTHER.replace('LGA', 'lga')}\n", "line 3, field origin: 'lga'"),
    ],
    ids=["empty", "missing column", "bad number", "truncated line", "bad code"],
)
def test_bad_input_names_file_line_and_field(content: str, place: str, site: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(content)
    done = manage(site, "import_departures", str(file))
    assert done.returncode == 1
    assert f"{file}, {place}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_line_leaves_what_came_before_it_whole_and_nothing_of_itself(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(f"{HEADER}\n{GOOD}\n{OTHER.replace(',529,', ',soon,')}\n")
    manage(tmp_path, "migrate", "--verbosity", "0")
    manage(tmp_path, "import_departures", str(file))
    with closing(sqlite3.connect(tmp_path / "site.sqlite3")) as database:
        flights = database.execute("SELECT count(*) FROM flights_flight").fetchone()
        messages = database.execute("SELECT count(*) FROM kombu_message").fetchone()
    assert (flights, messages) == ((1,), (2,))


def test_keep_going_imports_the_rest_reports_all_and_exits_1(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    third = OTHER.replace("2013,1,1", "2013,1,2")
    file.write_text(f"{HEADER}\n{OTHER.replace(',529,', ',soon,')}\n{third}\n{GOOD[:20]}\n")
    done = manage(site, "import_departures", str(file), "--keep-going")
    assert done.returncode == 1
    assert "line 2, field sched_dep_time" in done.stderr
    assert "line 4, field sched_arr_time: the line ends before it" in done.stderr
    assert "imported 1" in done.stdout
    assert "bad 2" in done.stdout


def test_a_missing_file_is_named(site: Path) -> None:
    done = manage(site, "import_departures", "nowhere.csv")
    assert done.returncode == 1
    assert "nowhere.csv: No such file" in done.stderr


def test_the_projects_own_settings_pass_its_checks(site: Path) -> None:
    done = manage(site, "check", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr


def test_the_migrations_are_complete(site: Path) -> None:
    done = manage(site, "makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout
