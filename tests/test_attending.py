"""Queues that belong to somebody, or to those who use them: locked, counted, and gone with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from kombu import Connection, Message
from kombu.exceptions import NotFound, PreconditionFailed, ResourceLocked
from kombu.transport.base import Channel
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.attending import Attendance
from kombu.transport.virtual.store import QueueSpec, User
from tests.memory import PATIENCE, Connect, publish, take
from tests.processes import ORDERS, SHORT, at_once, consumers, die, engine_of, exists, wait_until

pytest_plugins = ["tests.both"]


def ignore(message: Message) -> None:
    """A consumer that holds what it gets."""


def consume(connection: Connection, queue: str = ORDERS, tag: str = "") -> Channel:
    channel = connection.channel()
    channel.basic_consume(queue, callback=ignore, consumer_tag=tag)
    return channel


USES: dict[str, Callable[[Channel], object]] = {
    "declare": lambda channel: channel.queue_declare(ORDERS, exclusive=True),
    "declare otherwise": lambda channel: channel.queue_declare(ORDERS),
    "declare passively": lambda channel: channel.queue_declare(ORDERS, passive=True),
    "bind": lambda channel: channel.queue_bind(ORDERS, "amq.direct", "key"),
    "unbind": lambda channel: channel.queue_unbind(ORDERS, "amq.direct", "bound"),
    "purge": lambda channel: channel.queue_purge(ORDERS),
    "delete": lambda channel: channel.queue_delete(ORDERS),
    "get": lambda channel: channel.basic_get(ORDERS),
    "consume": lambda channel: channel.basic_consume(ORDERS, callback=ignore),
}


@pytest.mark.parametrize("use", USES)
def test_an_exclusive_queue_is_locked_for_every_other_connection(join: Connect, use: str) -> None:
    owner, stranger = join().channel(), join().channel()
    owner.queue_declare(ORDERS, exclusive=True)
    owner.queue_bind(ORDERS, "amq.direct", "bound")
    with pytest.raises(ResourceLocked, match=ORDERS):
        USES[use](stranger)


@pytest.mark.parametrize("use", [use for use in USES if use != "declare otherwise"])
def test_an_exclusive_queue_is_every_channels_of_its_connection(join: Connect, use: str) -> None:
    owner = join()
    owner.channel().queue_declare(ORDERS, exclusive=True)
    USES[use](owner.channel())


def test_everybody_may_publish_to_an_exclusive_queue(join: Connect) -> None:
    owner = join()
    owner.channel().queue_declare(ORDERS, exclusive=True)
    publish(join(), 1)
    assert take(owner).payload == 1


def test_of_two_that_declare_an_exclusive_queue_at_once_one_has_it(join: Connect) -> None:
    def declare(channel: Channel) -> bool:
        try:
            channel.queue_declare(ORDERS, exclusive=True)
        except ResourceLocked:
            return False
        return True

    for _ in range(10):
        with join() as first, join() as second:
            channels = [first.channel(), second.channel()]
            answers = at_once(*[lambda channel=channel: declare(channel) for channel in channels])
            assert sorted(answers) == [False, True]
            channels[answers.index(True)].queue_delete(ORDERS)


def test_an_exclusive_queue_is_gone_when_its_connection_is_closed(join: Connect) -> None:
    with join() as owner:
        owner.channel().queue_declare(ORDERS, exclusive=True)
        publish(owner, 1)
    other = join()
    assert not exists(other)
    assert other.channel().queue_declare(ORDERS, exclusive=True).message_count == 0


def test_an_exclusive_queue_is_kept_as_long_as_its_owner_lives(join: Connect) -> None:
    owner, other = join(lease=SHORT), join()
    owner.channel().queue_declare(ORDERS, exclusive=True)
    other.channel().queue_declare("sign", arguments={"x-expires": round(3 * SHORT * 1000)})
    wait_until(lambda: not exists(other, "sign"))
    with pytest.raises(ResourceLocked):
        exists(other)


def test_an_exclusive_queue_goes_back_to_nobody_when_its_owner_dies(join: Connect) -> None:
    owner, other = join(lease=SHORT), join()
    owner.channel().queue_declare(ORDERS, exclusive=True)
    publish(other, 1)
    die(owner)

    def taken_over() -> bool:
        with suppress(ResourceLocked):
            return other.channel().queue_declare(ORDERS, exclusive=True).message_count == 0
        return False

    wait_until(taken_over)


def test_an_exclusive_queue_that_its_owner_deleted_and_declared_again_ends_with_it(join: Connect) -> None:
    with join() as owner:
        owner.channel().queue_declare(ORDERS, exclusive=True)
        owner.channel().queue_delete(ORDERS)
        owner.channel().queue_declare(ORDERS, exclusive=True)
    assert not exists(join())


def test_an_owner_that_was_away_too_long_may_declare_its_queue_again(join: Connect) -> None:
    with join(lease=SHORT) as owner:
        lose_the_queue(owner, join())
        owner.channel().queue_declare(ORDERS, exclusive=True)
        assert engine_of(owner).store.attending([ORDERS])[ORDERS] != []
    assert not exists(join())


def test_an_owner_that_was_away_too_long_is_a_stranger_to_the_next_one(join: Connect) -> None:
    owner, other = join(lease=SHORT), join()
    lose_the_queue(owner, other)
    other.channel().queue_declare(ORDERS, exclusive=True)
    with pytest.raises(ResourceLocked):
        owner.channel().basic_get(ORDERS)


def lose_the_queue(owner: Connection, other: Connection) -> None:
    """Its owner is away until another finds that the queue has ended, and then looks again."""
    owner.channel().queue_declare(ORDERS, exclusive=True)
    die(owner)

    def ended() -> bool:
        with suppress(ResourceLocked):
            return not exists(other)
        return False

    wait_until(ended)
    engine_of(owner).ledger.renew()


def test_an_auto_deleted_queue_ends_with_its_last_consumer_of_all_connections(join: Connect) -> None:
    first, second, other = join(), join(), join()
    other.channel().queue_declare(ORDERS, auto_delete=True)
    channels = [consume(first, tag="a"), consume(second, tag="b")]
    channels[0].basic_cancel("a")
    assert exists(other)
    channels[1].basic_cancel("b")
    assert not exists(other)


def test_an_auto_deleted_queue_ends_with_the_channel_of_its_last_consumer(join: Connect) -> None:
    connection, other = join(), join()
    other.channel().queue_declare(ORDERS, auto_delete=True)
    consume(connection).close()
    assert not exists(other)


def test_an_auto_deleted_queue_ends_when_its_last_consumer_dies(join: Connect) -> None:
    connection, other = join(lease=SHORT), join()
    other.channel().queue_declare(ORDERS, auto_delete=True)
    consume(connection)
    die(connection)
    wait_until(lambda: not exists(other))


def test_getting_messages_from_an_auto_deleted_queue_does_not_end_it(join: Connect) -> None:
    connection = join()
    connection.channel().queue_declare(ORDERS, auto_delete=True)
    publish(connection, 1)
    assert take(connection).payload == 1
    assert exists(join())


def test_an_auto_deleted_exchange_ends_with_the_last_queue_that_ends(join: Connect) -> None:
    other = join().channel()
    other.exchange_declare("news", "fanout", auto_delete=True)
    other.exchange_declare("all news", "fanout", auto_delete=True)
    other.exchange_bind("news", "all news")
    with join() as owner:
        owner.channel().queue_declare(ORDERS, exclusive=True)
        owner.channel().queue_bind(ORDERS, "news")
        other.exchange_declare("news", passive=True)
    for exchange in ("news", "all news"):
        with pytest.raises(NotFound, match=exchange):
            other.exchange_declare(exchange, passive=True)


def test_a_queue_that_expired_is_gone_for_its_publisher(join: Connect) -> None:
    connection = join()
    connection.channel().queue_declare(ORDERS, arguments={"x-expires": 50})
    connection.channel().queue_bind(ORDERS, "amq.fanout")
    wait_until(lambda: not exists(join()))
    connection.channel().queue_declare(ORDERS)
    publish(connection, 1)
    assert take(connection).payload == 1


def test_getting_from_a_queue_lets_it_live_on(join: Connect) -> None:
    connection = join()
    channel = connection.channel()

    def lived_on() -> bool:
        channel.queue_declare(ORDERS, arguments={"x-expires": 300})
        channel.queue_declare("sign", arguments={"x-expires": 600})
        with suppress(NotFound):
            while exists(connection, "sign"):
                channel.basic_get(ORDERS)
            return exists(connection)
        return False

    wait_until(lived_on)


def test_consumers_of_all_connections_are_counted(join: Connect) -> None:
    first, second, other = join(), join(), join()
    other.channel().queue_declare(ORDERS)
    consume(first)
    channel = consume(second, tag="b")
    assert consumers(other) == 2
    channel.basic_cancel("b")
    assert consumers(other) == 1
    first.release()
    assert consumers(other) == 0


def test_an_owner_is_no_consumer(join: Connect) -> None:
    owner = join()
    owner.channel().queue_declare(ORDERS, exclusive=True)
    assert consumers(owner) == 0
    owner.channel().queue_delete(ORDERS, if_unused=True)


def test_a_queue_with_a_consumer_of_another_connection_is_in_use(join: Connect) -> None:
    consumer, other = join(), join()
    other.channel().queue_declare(ORDERS)
    channel = consume(consumer, tag="a")
    with pytest.raises(PreconditionFailed, match="in use: 1 consumers"):
        other.channel().queue_delete(ORDERS, if_unused=True)
    channel.basic_cancel("a")
    other.channel().queue_delete(ORDERS, if_unused=True)
    assert not exists(consumer)


def test_a_consumer_that_died_is_counted_until_its_lease_is_over(join: Connect) -> None:
    consumer, other = join(lease=SHORT), join()
    other.channel().queue_declare(ORDERS)
    consume(consumer)
    die(consumer)
    wait_until(lambda: consumers(other) == 0)
    other.channel().queue_delete(ORDERS, if_unused=True)


class SlowToAttend(MemoryStore):
    """Once told to, it takes its time about users."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        self.asked.set()
        assert self.may_go_on.wait(PATIENCE)
        return super().attend(users, seconds)


def test_who_leaves_while_being_renewed_stays_gone(name: str) -> None:
    store, user = SlowToAttend(name), User(ORDERS, "a")
    store.declare(QueueSpec(name=ORDERS))
    attendance = Attendance(store, 60.0)
    attendance.enter(user)
    store.asked.clear()
    store.may_go_on.clear()
    renewing = threading.Thread(target=attendance.renew)
    leaving = threading.Thread(target=attendance.leave, args=([user],))
    renewing.start()
    assert store.asked.wait(PATIENCE)
    leaving.start()
    leaving.join(0.2)  # it may have to wait for the renewal
    store.may_go_on.set()
    renewing.join(PATIENCE)
    leaving.join(PATIENCE)
    assert store.attending([ORDERS]) == {ORDERS: []}
