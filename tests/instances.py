"""Servers of a test's own, to be stopped and killed: made by scripts/services with a port and a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests import servers

End = Literal["fast", "immediate", "kill"]
"""``fast`` says goodbye to the clients, ``immediate`` does not and has to recover, ``kill`` is SIGKILL."""

_SERVICES = Path(__file__).parent.parent / "scripts" / "services"
_PATIENCE = 60
_PORTS = {"postgresql": "KOMBU_PG_PORT", "mariadb": "KOMBU_MARIADB_PORT"}
_PID_FILES = {"postgresql": "postmaster.pid", "mariadb": "mariadb.pid"}
_START = {"postgresql": "postgresql_start", "mariadb": "mariadb_run"}
_STOP = {
    ("postgresql", "fast"): 'pg_find_programs && pg_find_data && as_owner "$bin/pg_ctl" stop -s -w -m fast -D "$data"',
    ("postgresql", "immediate"): (
        'pg_find_programs && pg_find_data && as_owner "$bin/pg_ctl" stop -s -w -m immediate -D "$data"'
    ),
    ("mariadb", "fast"): 'mariadb_find_programs && mariadb_find_data && mariadb_runs && end_process "$pid" TERM',
}


class Instance:
    """``server`` is postgresql or mariadb. What is committed is on the disk, as in production."""

    def __init__(self, server: str, home: Path) -> None:
        self.server = server
        self.port = _free_port()
        self._home = home

    def start(self) -> None:
        """Returns when it answers, after it has recovered if need be."""
        self._shell(_START[self.server])

    def end(self, how: End) -> None:
        """Returns when it is gone."""
        if how == "kill":
            self._kill()
        else:
            self._shell(_STOP[self.server, how])

    def url(self, database: str = "kombu") -> str:
        """SQLAlchemy's."""
        driver = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[self.server]
        return f"{driver}://kombu@{servers.HOST}:{self.port}/{database}"

    @property
    def runs(self) -> bool:
        return self._pid_file.exists()

    @property
    def _pid_file(self) -> Path:
        return self._home / ".services" / self.server / _PID_FILES[self.server]

    def _kill(self) -> None:
        """It and what it has started, which would otherwise be in the way of the next."""
        main = int(self._pid_file.read_text().split()[0])
        family = _family(main)
        os.kill(main, signal.SIGKILL)
        _wait_for_the_end_of(family)
        self._pid_file.unlink(missing_ok=True)

    def _shell(self, script: str) -> None:
        program = f'set -eu; checkout=$1; service=$2; . "$3/common.sh"; . "$3/$2.sh"; {script}'
        done = subprocess.run(
            ["sh", "-c", program, "sh", self._home, self.server, _SERVICES],
            env={**os.environ, "KOMBU_DURABLE": "1", _PORTS[self.server]: str(self.port)},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, f"{self.server}: {done.stderr}"


@contextmanager
def instance(server: str) -> Iterator[Instance]:
    """One that runs, and is gone afterwards with all it has stored."""
    home = Path(tempfile.mkdtemp(prefix="kombu-"))
    home.chmod(0o711)  # servers do not run as root
    made = Instance(server, home)
    try:
        made.start()
        yield made
    finally:
        if made.runs:
            made.end("kill")
        shutil.rmtree(home)


def _free_port() -> int:
    with socket.create_server((servers.HOST, 0)) as found:
        return int(found.getsockname()[1])


def _family(process: int) -> list[int]:
    """It and its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *map(int, children)]


def _wait_for_the_end_of(processes: list[int]) -> None:
    """They are nobody's children here: only looking tells."""
    deadline = time.monotonic() + _PATIENCE
    while any(_is_alive(process) for process in processes):
        assert time.monotonic() < deadline, f"still there: {processes}"
        time.sleep(0.01)


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
