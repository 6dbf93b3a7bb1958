"""The machine and the servers that a run had: what its figures depend on."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time

from bench.parts import databases
from bench.parts.contenders import ALL, unmeasured
from bench.parts.options import Options


def show(options: Options) -> None:
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, load {load}")
    print(f"{writes():,.0f} writes a second through to the disk")
    if delay := os.environ.get("KOMBU_DISK_DELAY"):
        print(f"KOMBU_DISK_DELAY: in PostgreSQL and MariaDB each takes {delay} µs longer")
    for group in ALL:
        kind = group.place.kind
        if kind in options.databases:
            print(f"{group.name}: {unmeasured(group) or databases.version(kind)}", flush=True)


def writes(seconds: float = 1.0) -> float:
    """Of 4 KiB, each waited for."""
    with tempfile.TemporaryFile() as file:
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            os.pwrite(file.fileno(), b"x" * 4096, done % 100 * 4096)
            os.fdatasync(file.fileno())
            done += 1
        return done / (time.perf_counter() - started)
