"""How long an import takes: a fresh interpreter each, ours and the predecessor's in turn, medians."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.parts.starting import interpreter

ROOT = Path(__file__).resolve().parent.parent
TIMES = 15
STATEMENTS = {
    "nothing": "pass",
    "import kombu": "import kombu",
    "from kombu import": "from kombu import Connection, Consumer, Exchange, Producer, Queue",
    "memory:// connected": "from kombu import Connection; Connection('memory://').connect()",
}
DRIVERS = ("amqp", "pika", "redis", "boto3", "pymongo", "greenstalk", "httpx", "sqlalchemy", "psycopg", "django")


def main() -> None:
    peer = interpreter("5.7")
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(TIMES):
        for name, statement in STATEMENTS.items():
            for who, python in (("ours", Path(sys.executable)), ("5.7", peer)):
                taken.setdefault((name, who), []).append(seconds(python, statement))
    bare = {who: median(taken["nothing", who]) for who in ("ours", "5.7")}
    print(f"\n{'import':20} {'ours':>10} {'5.7':>10} {'ours/5.7':>10}   milliseconds, without the interpreter's own")
    for name in list(STATEMENTS)[1:]:
        ours, other = (1000 * (median(taken[name, who]) - bare[who]) for who in ("ours", "5.7"))
        print(f"{name:20} {ours:10.1f} {other:10.1f} {ours / other:10.2f}", flush=True)
    print(f"drivers that `import kombu` loads: {', '.join(drivers()) or 'none'}")


def seconds(python: Path, statement: str) -> float:
    folder = ROOT if python == Path(sys.executable) else python.parent
    started = time.perf_counter()
    subprocess.run([python, "-c", statement], cwd=folder, check=True)
    return time.perf_counter() - started


def drivers() -> list[str]:
    statement = f"{STATEMENTS['from kombu import']}\nimport sys\nprint(*(d for d in {DRIVERS} if d in sys.modules))"
    done = subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.split()
