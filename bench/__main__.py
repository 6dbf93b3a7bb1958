"""``make bench``: 256-byte JSON, one process each, medians, in one run on this machine.

``make bench BENCH='memory imports'`` runs parts of it: memory, sqlite, imports, growth.

The predecessor is installed into ``.venv-peer``, which nothing else uses. Trust the ratios rather than the rates:
both depend on the machine, and only the ratios compare like with like.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench import imports

HERE = Path(__file__).resolve().parent
PEER = HERE.parent / ".venv-peer"
PEER_VERSION = "kombu[sqlalchemy]==5.7.*"
REPETITIONS = 5
MILLION = 1_000_000
COUNTS = {
    ("memory", "raw"): 50_000,
    ("memory", "ours"): 50_000,
    ("memory", "peer"): 50_000,
    ("sqlite", "raw"): 30_000,
    ("sqlite", "ours"): 20_000,
    ("sqlite", "peer"): 500,
}


def main(parts: list[str]) -> None:
    peer = install_peer()
    for part in parts or ["memory", "sqlite", "imports", "growth"]:
        if part == "imports":
            imports.main(peer)
        elif part == "growth":
            growth(peer)
        else:
            rates(part, peer)


def rates(system: str, peer: Path) -> None:
    found: dict[str, list[dict[str, float]]] = {"raw": [], "ours": [], "peer": []}
    for _ in range(REPETITIONS):
        for who, runs in found.items():
            runs.append(run(who, system, peer))
    show(system, {who: medians(runs) for who, runs in found.items()})


def growth(peer: Path) -> None:
    print(
        f"\n{'memory held':20} {'start':>10} {'tenth':>10} {'middle':>10} {'end':>10}   MiB, over {MILLION:,} messages"
    )
    for who, python in (("ours", Path(sys.executable)), ("5.7", peer)):
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)} if who == "ours" else None
        done = subprocess.run(
            [python, HERE / "growth.py", str(MILLION)], env=environment, check=True, capture_output=True, text=True
        )
        print(f"{who:20} {' '.join(f'{value:10.1f}' for value in json.loads(done.stdout).values())}", flush=True)


def install_peer() -> Path:
    """The interpreter of the predecessor's environment, made once."""
    python = PEER / "bin" / "python"
    if not python.exists():
        print(f"installing {PEER_VERSION} into {PEER.name} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER_VERSION], check=True)
    return python


def run(who: str, system: str, peer: Path) -> dict[str, float]:
    count = str(COUNTS[system, who])
    command = [peer, HERE / "peer.py"] if who == "peer" else [sys.executable, "-m", f"bench.{who}"]
    folder = HERE if who == "peer" else HERE.parent
    done = subprocess.run([*command, system, count], cwd=folder, check=True, capture_output=True, text=True)
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(each[name] for each in runs) for name in runs[0]}


def show(system: str, rates: dict[str, dict[str, float]]) -> None:
    print(f"\n{system:20} {'raw':>10} {'ours':>10} {'5.7':>10} {'ours/raw':>10} {'ours/5.7':>10}   messages a second")
    for name, ours in rates["ours"].items():
        raw, peer = rates["raw"].get(name), rates["peer"].get(name)
        cells = [number(raw), number(ours), number(peer), ratio(ours, raw), ratio(ours, peer)]
        print(f"{name:20} {' '.join(f'{cell:>10}' for cell in cells)}", flush=True)


def number(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


def ratio(ours: float, other: float | None) -> str:
    return "-" if other is None else f"{ours / other:.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
