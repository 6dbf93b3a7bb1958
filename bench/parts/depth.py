"""``sql-depth``: how fast a queue is drained that a thousand wait in, or a million, or that hides as many."""

from __future__ import annotations

from functools import partial
from itertools import product

from bench.parts import databases, table, verdicts
from bench.parts.contenders import OURS, POSTGRESQL, SQLITE_FULL, groups
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.rounds import one
from bench.parts.starting import started
from bench.parts.verdicts import Verdict, against
from bench.systems.place import Place

SHALLOW = "1,000 waiting"
HOUR = 3_600_000_000
DEPTHS = {
    SHALLOW: (0, 0, "NULL"),
    "1,000,000 waiting": (1_000_000, 0, "NULL"),
    "1,000,000 delayed": (1_000_000, HOUR, "NULL"),
    "100,000 leased": (100_000, HOUR, "1"),
}
"""How many are added, how many microseconds later they may be claimed, and their lease."""
AT_LEAST = 0.8
PREFETCH = 100


def measure(options: Options) -> list[Verdict]:
    found = Results()
    for _ in range(options.rounds):
        for group in groups(options, POSTGRESQL, SQLITE_FULL):
            for system, depth in product(OURS, DEPTHS):
                ask = partial(_taken, seconds=options.seconds, depth=depth)
                found.add(group.name, system, one(system, group.place, ask))
    table.show("drain by 100, by depth", found)
    deeper = [
        verdict
        for group in (POSTGRESQL, SQLITE_FULL)
        for depth in DEPTHS
        if depth != SHALLOW
        for verdict in against(found, group.name, depth, AT_LEAST, ("sqla", SHALLOW))
    ]
    return deeper + verdicts.doors(found)


def _taken(system: str, place: Place, seconds: float, depth: str) -> dict[str, Taken]:
    with started(system, place, "depth", seconds=seconds, prefetch=PREFETCH) as child:
        child.hear()
        number, later, lease = DEPTHS[depth]
        if number:
            _deepen(place, number, later, lease)
        child.say()
        return {depth: child.answer()}


def _deepen(place: Place, number: int, later: int, lease: str) -> None:
    """By copies of the first message, each due a microsecond after the one before."""
    numbers = f"generate_series(1, {number}) AS number(n)"
    if place.kind == "sqlite":
        numbers = f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {number}) SELECT n FROM c)"
    columns = "queue_id, priority, stored_at, expires_at, delivery_count, head, body"
    databases.execute(
        place,
        f"INSERT INTO kombu_message ({columns}, available_at, due_at, lease_token)"
        f" SELECT {columns}, available_at + {later} + n, due_at + {later} + n, {lease}"
        f" FROM (SELECT * FROM kombu_message ORDER BY id LIMIT 1) AS first, {numbers}",
    )
    if place.kind == "postgresql":
        databases.execute(place, "VACUUM ANALYZE")
