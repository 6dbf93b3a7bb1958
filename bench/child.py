"""The process of one system: ``python child.py JOB`` does one piece of work and answers in JSON.

``JOB`` is JSON: the work, the system, its place, and what the work wants to know. Started by ``parts/starting.py`` in
the environment of the system.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from systems.choice import system
from systems.place import Place
from works import churn, depth, drain, idle, latency, publish, sharing, threads

WORKS: dict[str, Callable[..., Any]] = {
    "make": lambda system: system.make(),
    "publish": publish.work,
    "drain": drain.work,
    "fill": sharing.fill,
    "share": sharing.work,
    "threads": threads.work,
    "send": latency.send,
    "receive": latency.receive,
    "depth": depth.work,
    "churn publish": churn.publish,
    "churn consume": churn.consume,
    "idle": idle.work,
}


def main(job: dict[str, Any]) -> None:
    chosen = system(job.pop("system"), Place(**job.pop("place")))
    print(json.dumps(WORKS[job.pop("work")](chosen, **job)), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
