"""A program that is many processes, which all do the same to a database at the same moment.

``python -m tests.crowd COUNT upgrade|within|work|both URL``: ``upgrade`` is the command of ``kombu_sqlalchemy``, and
``within`` the same in the caller's transaction; ``work`` opens the database, makes the tables that are missing,
publishes a message and consumes one; ``both`` is upgrade and work in turns.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from sqlalchemy import create_engine

import kombu_sqlalchemy.migrating
import kombu_sqlalchemy.transport
from kombu import Connection, Message, Queue
from kombu_sqlalchemy.__main__ import main


def upgrade(url: str, _: int) -> int:
    return main(["upgrade", url])


def within(url: str, _: int) -> int:
    with create_engine(url).begin() as connection:
        kombu_sqlalchemy.migrating.upgrade(connection)
    return 0


def work(url: str, number: int) -> int:
    orders = Queue("orders")
    options = {} if url.startswith("sqlite") else {"create_tables": True}
    with Connection(f"sqla+{url}", transport_options=options) as connection:
        orders(connection).declare()
        connection.Producer().publish(number, "orders")
        seen: list[Any] = []

        def handle(body: Any, message: Message) -> None:
            message.ack()
            seen.append(body)

        with connection.Consumer(orders, callbacks=[handle], prefetch_count=1):
            while not seen:
                connection.drain_events(timeout=60)
    sys.stdout.write(f"{seen[0]}\n")
    return 0


def both(url: str, number: int) -> int:
    return (upgrade if number % 2 else work)(url, number)


def crowd(count: int, each: Callable[[int], int]) -> int:
    """The highest exit status. They begin when the pipe is closed."""
    waiting, starting = os.pipe()
    children = [_forked(waiting, starting, each, number) for number in range(count)]
    os.close(waiting)
    os.close(starting)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _forked(waiting: int, starting: int, each: Callable[[int], int], number: int) -> int:
    child = os.fork()
    if child:
        return child
    os.close(starting)
    os.read(waiting, 1)
    status = 1
    try:
        status = each(number)
    except BaseException:  # noqa: BLE001 - a child never goes on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    doing = {"upgrade": upgrade, "within": within, "work": work, "both": both}[sys.argv[2]]
    sys.exit(crowd(int(sys.argv[1]), lambda number: doing(sys.argv[3], number)))
