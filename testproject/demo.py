"""Runs the main job both ways, kills a consumer in the middle, and shows that nothing was lost or doubled.

``make demo`` runs this. It needs no server: the databases are SQLite files under ``var/``, new each time,
which stay there to be looked at. It ends with 0 only if every number is what the CSV file says.
"""

from __future__ import annotations

import argparse
import fcntl
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal.report import Result, Screen
from rehearsal.run import SITE, WAYS, Options, run_way
from rehearsal.supervise import DemoFailed


def main() -> int:
    arguments = _arguments()
    screen = Screen()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _alone(arguments.data):
            results = list(_run(arguments, screen))
    except (DemoFailed, OSError) as failure:
        screen.say(f"failed: {failure}")
        return 1
    except KeyboardInterrupt:
        screen.say("stopped, and with it all processes that it had started")
        return 130
    for result in results:
        screen.say(result.closing_line())
        screen.say(result.figures())
    return 1 if any(result.mistakes() for result in results) else 0


def _run(arguments: argparse.Namespace, screen: Screen) -> Iterator[Result]:
    options = Options(
        rows=arguments.rows,
        rollback_every=arguments.rollback_every,
        consumers=arguments.consumers,
        lease=arguments.lease,
        deadline=arguments.deadline,
        kills=arguments.chaos,
        seed=arguments.seed,
        data=arguments.data,
    )
    for way in [arguments.way] if arguments.way else WAYS:
        result = run_way(way, options, screen)
        screen.table(result)
        screen.mistakes(result)
        yield result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, help="only this way; both unless told")
    parser.add_argument("--rows", type=_count, metavar="N", help="only the first N rows of the week")
    parser.add_argument("--rollback-every", type=_count, default=50, metavar="N", help="let every N-th fail (50)")
    parser.add_argument("--consumers", type=_count, default=2, metavar="N", help="processes that consume (2)")
    parser.add_argument("--lease", type=float, default=3, metavar="SECONDS", help="lease of a message (3)")
    parser.add_argument("--deadline", type=float, default=180, metavar="SECONDS", help="for one way (180)")
    parser.add_argument("--chaos", type=_count, default=0, metavar="N", help="SIGKILL any process, N times")
    parser.add_argument("--data", type=Path, default=SITE / "var", metavar="FOLDER", help="where databases and logs go")
    parser.add_argument("--seed", type=int, default=1, help="chooses the victims and moments of --chaos (1)")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One demo at a time in this folder. The lock goes with the process, whatever ends it."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"another demo is running in {data}") from None
        yield


if __name__ == "__main__":
    sys.exit(main())
