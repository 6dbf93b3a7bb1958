"""No library at all in memory, a deque of JSON texts: ``python -m bench.raw COUNT``."""

from __future__ import annotations

import json
import sys
from collections import deque

from bench.load import message, rate, report


def main(count: int) -> None:
    waiting: deque[str] = deque()
    bodies = [message(number) for number in range(count)]
    rates = {"publish": rate(count, lambda: [waiting.append(json.dumps(body)) for body in bodies])}
    seen: list[int] = []
    rates["drain"] = rate(count, lambda: [seen.append(json.loads(waiting.popleft())["i"]) for _ in range(count)])
    report(rates, seen, count)


if __name__ == "__main__":
    main(int(sys.argv[1]))
