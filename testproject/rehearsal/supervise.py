"""Starts the site's processes, watches over them and stops them again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

PARTS = Path(__file__).resolve().parent


class DemoFailed(Exception):
    """Something did not go as promised; the message says what."""


@dataclass(slots=True)
class Child:
    """A ``manage.py`` command in a process of its own, with its output in two log files."""

    name: str
    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    peak_memory: int | None = None
    """Bytes; None where the system does not tell (macOS)."""

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def last_line(self) -> str:
        lines = self.out.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    def has_said(self, start: str) -> bool:
        return any(line.startswith(start) for line in self.out.read_text(errors="replace").split("\n"))

    def signal(self, number: signal.Signals) -> None:
        self.measure()
        self.process.send_signal(number)

    def measure(self) -> None:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return
        for line in status.split("\n"):
            if line.startswith("VmHWM:"):
                self.peak_memory = max(self.peak_memory or 0, int(line.split()[1]) * 1024)

    def failure(self) -> DemoFailed:
        tail = "\n".join(self.err.read_text(errors="replace").rstrip().split("\n")[-15:])
        return DemoFailed(f"{self.name} ended with {_ending(self.process.poll())}; {self.err} ends with:\n{tail}")


@dataclass(slots=True)
class Crew:
    """All processes of one way. Leaving the ``with`` block kills those that are left."""

    environment: dict[str, str]
    logs: Path
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.children:
            if child.running:
                child.process.kill()
            child.process.wait()
            if child.process.stdin:
                child.process.stdin.close()

    def start(self, role: str, *command: str) -> Child:
        """Start ``manage.py`` with ``command``; see :mod:`leashed` for what its standard input is."""
        name = f"{role}-{len(self._all(role)) + 1}"
        out, err = self.logs / f"{name}.out", self.logs / f"{name}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(PARTS / "leashed.py"), *command],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                env=self.environment,
                start_new_session=True,  # Ctrl-C reaches the demo only, which then stops its children
            )
        child = Child(name=name, process=process, out=out, err=err)
        self.children.append(child)
        return child

    def run(self, *command: str, timeout: float = 60) -> str:
        """Run ``manage.py`` with ``command`` to its end and answer with what it printed."""
        child = self.start(command[0], *command)
        self.ended(child, timeout=timeout)
        return child.out.read_text(errors="replace")

    def ready(self, children: Sequence[Child], start: str, timeout: float = 30) -> None:
        """Wait until each has printed a line that begins with ``start``."""
        wait_until(lambda: all(self._alive(child).has_said(start) for child in children), timeout, start)

    def ended(self, child: Child, timeout: float) -> None:
        """Wait until it ends, which must be with exit code 0."""
        wait_until(lambda: not child.running, timeout, f"the end of {child.name}")
        if child.process.returncode != 0:
            raise child.failure()

    def kill(self, child: Child) -> None:
        """SIGKILL: no chance to put anything in order."""
        child.signal(signal.SIGKILL)
        child.process.wait()

    def stop(self, children: Sequence[Child], timeout: float = 30) -> None:
        """SIGTERM: each finishes what it holds, and must end with exit code 0."""
        for child in children:
            self._alive(child).signal(signal.SIGTERM)
        for child in children:
            self.ended(child, timeout)

    def check(self, children: Sequence[Child]) -> None:
        """Raise unless all are still running."""
        for child in children:
            self._alive(child)

    def last_lines(self, role: str) -> list[str]:
        return [child.last_line for child in self._all(role)]

    def peak_memory(self, role: str) -> int | None:
        return max((child.peak_memory for child in self._all(role) if child.peak_memory), default=None)

    def _all(self, role: str) -> list[Child]:
        return [child for child in self.children if child.name.startswith(f"{role}-")]

    def _alive(self, child: Child) -> Child:
        if not child.running:
            raise child.failure()
        return child


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Look 20 times a second, for at most ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {timeout:.0f} s in vain for {what.strip()}")
        time.sleep(0.05)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
