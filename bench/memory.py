"""``memory`` and ``growth``: queues in the process, beside a deque and the predecessor; and what a process holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench.parts.starting import interpreter

HERE = Path(__file__).resolve().parent
REPETITIONS = 5
COUNT = 50_000
MILLION = 1_000_000


def rates() -> None:
    found: dict[str, list[dict[str, float]]] = {"raw": [], "ours": [], "peer": []}
    for _ in range(REPETITIONS):
        for who, runs in found.items():
            runs.append(_run(who))
    _show({who: _medians(runs) for who, runs in found.items()})


def growth() -> None:
    print(
        f"\n{'memory held':20} {'start':>10} {'tenth':>10} {'middle':>10} {'end':>10}   MiB, over {MILLION:,} messages"
    )
    for who, python in (("ours", Path(sys.executable)), ("5.7", interpreter("5.7"))):
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)} if who == "ours" else None
        done = subprocess.run(
            [python, HERE / "growth.py", str(MILLION)], env=environment, check=True, capture_output=True, text=True
        )
        print(f"{who:20} {' '.join(f'{value:10.1f}' for value in json.loads(done.stdout).values())}", flush=True)


def _run(who: str) -> dict[str, float]:
    command = [interpreter("5.7"), HERE / "peer.py"] if who == "peer" else [sys.executable, "-m", f"bench.{who}"]
    folder = HERE if who == "peer" else HERE.parent
    done = subprocess.run([*command, str(COUNT)], cwd=folder, check=True, capture_output=True, text=True)
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(each[name] for each in runs) for name in runs[0]}


def _show(rates: dict[str, dict[str, float]]) -> None:
    print(f"\n{'memory':20} {'raw':>10} {'ours':>10} {'5.7':>10} {'ours/raw':>10} {'ours/5.7':>10}   messages a second")
    for name, ours in rates["ours"].items():
        raw, peer = rates["raw"].get(name), rates["peer"].get(name)
        cells = [_number(raw), _number(ours), _number(peer), _ratio(ours, raw), _ratio(ours, peer)]
        print(f"{name:20} {' '.join(f'{cell:>10}' for cell in cells)}", flush=True)


def _number(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


def _ratio(ours: float, other: float | None) -> str:
    return "-" if other is None else f"{ours / other:.2f}"
