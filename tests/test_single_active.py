"""A queue with a single active consumer: one of all connections at a time gets its messages, the first that came."""

from __future__ import annotations

from contextlib import suppress

import pytest

from kombu import Connection, Message
from tests.memory import Connect, publish
from tests.processes import ORDERS, SHORT, consumers, die, engine_of, wait_until

pytest_plugins = ["tests.both"]


class Worker:
    """A process with one consumer; ``seen`` is what it was given, and ``held`` the messages."""

    def __init__(self, connection: Connection, prefetch: int = 0, single: bool = True) -> None:
        self.connection = connection
        self.seen: list[object] = []
        self.held: list[Message] = []
        self.channel = connection.channel()
        self.channel.queue_declare(ORDERS, arguments={"x-single-active-consumer": single})
        self.channel.basic_qos(prefetch_count=prefetch)
        self.tag = self.channel.basic_consume(ORDERS, callback=self.take)

    def take(self, message: Message) -> None:
        self.seen.append(message.payload)
        self.held.append(message)

    def look(self) -> None:
        with suppress(TimeoutError):
            self.connection.drain_events(timeout=0)

    def cancel(self) -> None:
        self.channel.basic_cancel(self.tag)


def until_seen(active: Worker, *payloads: object, idle: Worker) -> None:
    """The active one gets these messages and nothing else, though the idle one looks as often."""

    def all_seen() -> bool:
        idle.look()
        return len(active.seen) >= len(payloads)

    before = list(idle.seen)
    wait_until(all_seen, active.connection)
    assert active.seen == [*payloads]
    assert idle.seen == before


def test_only_the_consumer_that_came_first_gets_messages(join: Connect) -> None:
    first, second = Worker(join()), Worker(join())
    publish(join(), 1, 2, 3)
    until_seen(first, 1, 2, 3, idle=second)
    assert consumers(join()) == 2


def test_every_consumer_gets_messages_of_a_usual_queue(join: Connect) -> None:
    workers = [Worker(join(), prefetch=1, single=False) for _ in range(2)]
    publish(join(), 1, 2)
    for worker in workers:
        wait_until(lambda worker=worker: worker.seen, worker.connection)
    assert workers[0].seen + workers[1].seen == [1, 2]


def test_the_next_one_takes_over_when_the_active_consumer_is_cancelled(join: Connect) -> None:
    first, second, publisher = Worker(join()), Worker(join()), join()
    publish(publisher, 1)
    until_seen(first, 1, idle=second)
    first.cancel()
    publish(publisher, 2, 3)
    until_seen(second, 2, 3, idle=first)


def test_what_the_active_consumer_had_no_time_for_goes_to_the_next(join: Connect) -> None:
    first, second = Worker(join(), prefetch=1), Worker(join())
    publish(join(), 1, 2, 3)
    until_seen(first, 1, idle=second)
    first.cancel()
    until_seen(second, 2, 3, idle=first)


def test_what_the_active_consumer_held_goes_to_the_next_when_its_connection_is_closed(join: Connect) -> None:
    with join() as connection:
        first, second = Worker(connection), Worker(join())
        publish(join(), 1, 2)
        until_seen(first, 1, 2, idle=second)
        first.held[0].ack()
    wait_until(lambda: second.seen == [2], second.connection)
    assert second.held[0].delivery_info["redelivered"]


def test_the_next_one_takes_over_when_the_active_consumer_dies(join: Connect) -> None:
    dying = Worker(join(lease=SHORT))
    second, publisher = Worker(join()), join()
    publish(publisher, 1)
    until_seen(dying, 1, idle=second)
    die(dying.connection)
    publish(publisher, 2)
    wait_until(lambda: sorted(map(str, second.seen)) == ["1", "2"], second.connection)


def test_a_consumer_that_was_away_too_long_is_the_last_in_line_when_it_comes_back(join: Connect) -> None:
    first = Worker(join(lease=SHORT))
    second, publisher = Worker(join()), join()
    die(first.connection)
    wait_until(lambda: consumers(publisher) == 1)
    publish(publisher, 1)
    wait_until(lambda: second.seen == [1], second.connection)
    engine_of(first.connection).ledger.renew()
    publish(publisher, 2)
    until_seen(second, 1, 2, idle=first)


def test_who_waits_in_line_may_leave_it(join: Connect) -> None:
    first, second, third = Worker(join()), Worker(join()), Worker(join())
    publisher = join()
    second.cancel()
    publish(publisher, 1)
    until_seen(first, 1, idle=third)
    first.cancel()
    publish(publisher, 2)
    until_seen(third, 2, idle=second)


def test_of_two_consumers_of_one_connection_one_is_active(join: Connect) -> None:
    connection, publisher = join(), join()
    first, second = Worker(connection), Worker(connection)
    publish(publisher, 1, 2)
    wait_until(lambda: first.seen == [1, 2], connection)
    assert second.seen == []
    first.cancel()
    publish(publisher, 3)
    wait_until(lambda: second.seen == [3], connection)


@pytest.mark.parametrize("single", [True, False])
def test_a_paused_consumer_keeps_its_place(join: Connect, single: bool) -> None:
    first, second = Worker(join(), single=single), Worker(join(), single=single)
    first.channel.flow(False)
    publish(join(), 1)
    if single:
        second.look()
        first.channel.flow(True)
        until_seen(first, 1, idle=second)
    else:
        until_seen(second, 1, idle=first)
