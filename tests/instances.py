"""Servers of a test's own, to be stopped and killed: made by scripts/services with a port and a folder of their own.

A new server is one more entry of ``_RECIPES``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests import servers

End = Literal["fast", "immediate", "kill"]
"""``fast`` says goodbye to the clients, ``immediate`` does not and has to recover, ``kill`` is SIGKILL."""

_SERVICES = Path(__file__).parent.parent / "scripts" / "services"
_PATIENCE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How scripts/services/<server>.sh is used for an instance of its own.

    ``ports`` are the variables that choose its ports, the one for clients first. ``pid_file`` is the path of its main
    process's in its data folder, ``.services/<server>`` of the place it is told is the checkout; None: <server>.pid.
    ``start`` and ``ends`` are commands for the shell that has read the script; None: <server>_start, and <server>_stop
    where it says goodbye. ``rest`` is a command that ends what outlives the main process, and is run in any case.
    ``settings`` are variables for the script.
    """

    ports: tuple[str, ...]
    pid_file: str | None = None
    start: str | None = None
    ends: Mapping[End, str] = field(default_factory=dict)
    rest: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


_RECIPES = {
    "postgresql": Recipe(
        ports=("KOMBU_PG_PORT",),
        pid_file="postmaster.pid",
        ends={"immediate": 'pg_find_programs; pg_find_data; as_owner "$bin/pg_ctl" stop -s -w -m immediate -D "$data"'},
    ),
    "mariadb": Recipe(ports=("KOMBU_MARIADB_PORT",), start="mariadb_run"),
    "rabbitmq": Recipe(
        ports=(
            "KOMBU_RABBITMQ_PORT",
            "KOMBU_RABBITMQ_MANAGEMENT_PORT",
            "KOMBU_RABBITMQ_DISTRIBUTION_PORT",
            "KOMBU_RABBITMQ_EPMD_PORT",
        ),
        rest="rabbitmq_find_programs; rabbitmq_find_data; rabbitmq_end_epmd",
        settings={"KOMBU_RABBITMQ_MANAGEMENT": "0"},
    ),
    "redis": Recipe(ports=("KOMBU_REDIS_PORT",)),
    "sqs": Recipe(ports=("KOMBU_SQS_PORT",)),
    "mongodb": Recipe(ports=("KOMBU_MONGODB_PORT",)),
    "couchdb": Recipe(ports=("KOMBU_COUCHDB_PORT",)),
    "beanstalkd": Recipe(ports=("KOMBU_BEANSTALKD_PORT",)),
}


class Instance:
    """``port`` is where clients find it. What it has confirmed is on the disk, as in production."""

    def __init__(self, server: str, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self.server = server
        self.ports = _free_ports(len(_RECIPES[server].ports))
        self.port = self.ports[0]
        self._recipe = _RECIPES[server]
        self._home = home
        self._settings = dict(settings or {})

    def start(self) -> None:
        """Returns when it answers, after it has recovered if need be."""
        self.run(self._recipe.start or f"{self.server}_start")

    def end(self, how: End) -> None:
        """Returns when it is gone."""
        if how == "kill":
            self._kill()
        elif how == "fast":
            self.run(self._recipe.ends.get("fast", f"{self.server}_stop"))
        else:
            self.run(self._recipe.ends[how])

    def url(self, database: str = "kombu") -> str:
        """SQLAlchemy's, where it is a database."""
        driver = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[self.server]
        return f"{driver}://kombu@{servers.HOST}:{self.port}/{database}"

    @property
    def runs(self) -> bool:
        return self._pid_file.exists()

    @property
    def _pid_file(self) -> Path:
        return self._home / ".services" / self.server / (self._recipe.pid_file or f"{self.server}.pid")

    def end_rest(self) -> None:
        """What outlives it."""
        if self._recipe.rest is not None:
            self.run(self._recipe.rest)

    def _kill(self) -> None:
        """It and what it has started, which would otherwise be in the way of the next."""
        main = int(self._pid_file.read_text().split()[0])
        family = _family(main)
        os.kill(main, signal.SIGKILL)
        _wait_for_the_end_of(family)
        self._pid_file.unlink(missing_ok=True)

    def run(self, script: str) -> None:
        """Commands for the shell that has read the script."""
        program = f'set -eu; checkout=$1; service=$2; . "$3/common.sh"; . "$3/$2.sh"; {script}'
        done = subprocess.run(
            ["sh", "-c", program, "sh", self._home, self.server, _SERVICES],
            env={
                **os.environ,
                "KOMBU_DURABLE": "1",
                **self._recipe.settings,
                **self._settings,
                **dict(zip(self._recipe.ports, map(str, self.ports), strict=True)),
            },
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, f"{self.server}: {done.stderr}"


@contextmanager
def instance(server: str, settings: Mapping[str, str] | None = None) -> Iterator[Instance]:
    """One that runs, and is gone afterwards with all it has stored.

    ``settings`` are variables for its script: ``{"KOMBU_RABBITMQ_CONF": "listeners.ssl.default = 5671"}``.
    """
    home = Path(tempfile.mkdtemp(prefix="kombu-"))
    home.chmod(0o711)  # servers do not run as root
    made = Instance(server, home, settings)
    try:
        made.start()
        yield made
    finally:
        if made.runs:
            made.end("kill")
        made.end_rest()
        shutil.rmtree(home)


def _free_ports(count: int) -> list[int]:
    """Different ones."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server((servers.HOST, 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in found]


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
