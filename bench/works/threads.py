"""Threads that publish singly: through one connection, or through a pool of them; by a driver each through its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from load import message
from systems.system import Body, Claiming, System
from works.timing import Taken, lasting, taken

FIRST = 800


def work(system: System, seconds: float, threads: int, pooled: bool) -> Taken:
    system.open()
    if not pooled:
        publish = partial(_published_by, system)
    elif isinstance(system, Claiming):
        publish = _each_by_its_own(system)
    else:
        publish = _pooled(system)
    with ThreadPoolExecutor(threads) as crew:  # the same all the time: Django's have connections of their own
        first = _published(crew, publish, FIRST, threads)
        found = _published(crew, publish, lasting(seconds, first, FIRST), threads)
    system.close()
    return found


def _published_by(system: System, body: Body) -> None:
    system.publish([body])


def _each_by_its_own(system: System) -> Callable[[Body], object]:
    here = threading.local()

    def publish(body: Body) -> None:
        if not hasattr(here, "system"):
            here.system = type(system)(system.place)
            here.system.open()
        here.system.publish([body])

    return publish


def _pooled(system: Any) -> Callable[[Body], object]:
    from systems.client import EXCHANGE

    from kombu.pools import producers

    pool = producers[system.connection]

    def publish(body: Body) -> None:
        with pool.acquire(block=True) as producer:
            producer.publish(body, exchange=EXCHANGE, routing_key="bench")

    return publish


def _published(crew: ThreadPoolExecutor, publish: Callable[[Body], object], count: int, threads: int) -> Taken:
    bodies = [message(number) for number in range(count)]

    def some(first: int) -> None:
        for body in bodies[first::threads]:
            publish(body)

    return taken(count, lambda: list(crew.map(some, range(threads))))
