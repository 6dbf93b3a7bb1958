"""Starting the process of a system, in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

from bench.systems.place import Place

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
PACKAGES = {
    "5.7": ("kombu[sqlalchemy,redis]==5.7.*", "psycopg[binary]", "PyMySQL"),
    "pgmq": ("pgmq==1.1.*", "psycopg[binary]"),
    "aio-pika": ("aio-pika==9.*",),
}
FOLDERS = {"5.7": ".venv-peer", "pgmq": ".venv-pgmq", "aio-pika": ".venv-aio-pika"}


def run(system: str, place: Place, work: str, **asked: Any) -> Any:
    """What the work answers."""
    with started(system, place, work, **asked) as child:
        return child.answer()


class Child:
    """A process at its work: it says lines, hears lines, and answers at the end."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name

    def say(self, word: str = "go") -> None:
        try:
            self._in.write(word + "\n")
            self._in.flush()
        except BrokenPipeError:
            self._failed()

    def hear(self) -> str:
        """The next line; raises ``SystemExit`` when the process ended instead."""
        return self._out.readline().strip() or self._failed()

    def answer(self) -> Any:
        said = self._out.read().strip().splitlines()
        if self._process.wait() or not said:
            self._failed()
        return json.loads(said[-1])

    def deaf(self) -> None:
        """There is nothing more to hear for it."""
        self._in.close()

    @property
    def _in(self) -> IO[str]:
        return cast(IO[str], self._process.stdin)

    @property
    def _out(self) -> IO[str]:
        return cast(IO[str], self._process.stdout)

    def _failed(self) -> Any:
        raise SystemExit(f"{self._name} failed, see above (exit status {self._process.wait()})")


@contextmanager
def started(system: str, place: Place, work: str, **asked: Any) -> Iterator[Child]:
    job = json.dumps({"system": system, "place": asdict(place), "work": work, **asked})
    process = subprocess.Popen(
        [interpreter(system), HERE / "child.py", job],
        env=_environment(system),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with process:
            yield Child(process, f"{system} on {place.kind}: {work}")
    finally:
        if process.poll() is None:
            process.kill()


@cache
def interpreter(system: str) -> Path:
    """That of the system's environment, which is made once."""
    if system not in PACKAGES:
        return Path(sys.executable)
    python = ROOT / FOLDERS[system] / "bin" / "python"
    complete = python.parent.parent / ".bench"
    wanted = "\n".join(PACKAGES[system])
    if not complete.exists() or complete.read_text() != wanted:
        print(f"installing {', '.join(PACKAGES[system])} into {FOLDERS[system]} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[system]], check=True)
        complete.write_text(wanted)
    return python


def _environment(system: str) -> dict[str, str]:
    """Only this library's own processes find this checkout."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return others if system in PACKAGES else {**others, "PYTHONPATH": str(ROOT)}
