"""Remote control: a command reaches whom it is meant for, and the caller gets the replies in time or none."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from kombu import Connection, Exchange, Producer, Queue
from kombu.clocks import LamportClock
from kombu.exceptions import ConnectionError, EncodeError, NotBoundError, NotFound, OperationalError, ResourceLocked
from kombu.pidbox import Mailbox, Node
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Envelope
from kombu.transport.virtual.topology import Topology
from kombu.utils.functional import lazy
from tests.memory import PATIENCE, Connect, drain, nothing_comes, transport_over

Start = Callable[..., Node]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox("shop")


@pytest.fixture
def start(name: str, mailbox: Mailbox) -> Iterator[Start]:
    """Each call starts a node in a thread of its own, with a connection of its own, and handlers to play with."""
    over, threads = threading.Event(), []

    def started(hostname: str, mailbox: Mailbox = mailbox, **handlers: Callable[..., Any]) -> Node:
        listening = threading.Event()
        node = mailbox.Node(hostname, state={"orders": 3}, handlers={**HANDLERS, **handlers})

        def run() -> None:
            with Connection(f"memory://{name}") as connection:
                node._mailbox = mailbox(connection)
                with node.listen(connection.channel()):
                    listening.set()
                    while not over.is_set():
                        try:
                            connection.drain_events(timeout=0.02)
                        except TimeoutError:
                            continue

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        assert listening.wait(PATIENCE)
        return node

    yield started
    over.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def ping(state: Any) -> str:
    return "pong"


def count(state: Any, what: str) -> int:
    return int(state[what])


def fail(state: Any) -> None:
    raise RuntimeError("no")


HANDLERS: dict[str, Callable[..., Any]] = {"ping": ping, "count": count, "fail": fail}


def replies(*hostnames: str) -> list[dict[str, str]]:
    return [{hostname: "pong"} for hostname in hostnames]


def by_name(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(answers, key=lambda answer: next(iter(answer)))


@pytest.mark.parametrize("type", ["direct", "fanout"])
def test_a_command_to_all_is_answered_by_every_node(connection: Connection, start: Start, type: str) -> None:
    mailbox = Mailbox("shop", type=type)
    for hostname in ("a", "b", "c"):
        start(hostname, mailbox)
    answers = mailbox(connection).multi_call("ping", timeout=PATIENCE, limit=3)
    assert by_name(answers) == replies("a", "b", "c")


def test_a_call_is_answered_by_those_it_names_and_by_nobody_else(
    connection: Connection, start: Start, mailbox: Mailbox
) -> None:
    for hostname in ("a", "b", "c"):
        start(hostname)
    answers = mailbox(connection).call(["a", "c"], "ping", timeout=PATIENCE)
    assert by_name(answers) == replies("a", "c")


def test_arguments_and_the_nodes_state_reach_the_handler(
    connection: Connection, start: Start, mailbox: Mailbox
) -> None:
    start("a")
    assert mailbox(connection).call(["a"], "count", {"what": "orders"}) == [{"a": 3}]


@pytest.mark.parametrize(("pattern", "matcher"), [("till-*", "glob"), ("till-*", None), ("till-[12]$", "pcre")])
def test_a_pattern_reaches_the_nodes_whose_names_match(
    connection: Connection, start: Start, mailbox: Mailbox, pattern: str, matcher: str | None
) -> None:
    for hostname in ("till-1", "till-2", "office"):
        start(hostname)
    answers = mailbox(connection)._broadcast(
        "ping", reply=True, timeout=PATIENCE, limit=2, pattern=pattern, matcher=matcher
    )
    assert by_name(answers or []) == replies("till-1", "till-2")


def test_a_cast_is_done_and_nobody_waits_for_it(connection: Connection, start: Start, mailbox: Mailbox) -> None:
    done, other = threading.Event(), threading.Event()
    start("a", reload=lambda state: done.set())
    start("b", reload=lambda state: other.set())
    mailbox(connection).cast(["a"], "reload")
    assert done.wait(PATIENCE)
    assert mailbox(connection).call(["b"], "ping", timeout=PATIENCE) == replies("b")
    assert not other.is_set()


def test_a_cast_to_all_is_done_by_all(connection: Connection, start: Start, mailbox: Mailbox) -> None:
    done = threading.Barrier(3)
    for hostname in ("a", "b"):
        start(hostname, reload=lambda state: done.wait(PATIENCE))
    mailbox(connection).abcast("reload")
    done.wait(PATIENCE)


def test_a_function_that_is_marked_handles_the_command_of_its_name(
    connection: Connection, start: Start, mailbox: Mailbox
) -> None:
    node = start("a")

    @node.handler
    def add(state: Any, x: int, y: int) -> int:
        return x + y

    assert add(None, 1, 2) == 3
    assert mailbox(connection).call(["a"], "add", {"x": 1, "y": 2}) == [{"a": 3}]


@pytest.mark.parametrize(
    ("command", "arguments", "error"),
    [
        ("fail", {}, "RuntimeError('no')"),
        ("jump", {}, "has no command 'jump'"),
        ("count", {}, "TypeError"),
        ("count", {"what": "customers"}, "KeyError('customers')"),
    ],
)
def test_an_error_in_a_node_is_its_reply_and_the_node_goes_on(
    connection: Connection, start: Start, mailbox: Mailbox, command: str, arguments: dict[str, Any], error: str
) -> None:
    start("a")
    [answer] = mailbox(connection).call(["a"], command, arguments, timeout=PATIENCE)
    assert error in answer["a"]["error"]
    assert mailbox(connection).call(["a"], "ping", timeout=PATIENCE) == replies("a")


def test_a_reply_that_cannot_be_sent_becomes_an_error(connection: Connection, start: Start, mailbox: Mailbox) -> None:
    start("a", odd=lambda state: object())
    [answer] = mailbox(connection).call(["a"], "odd", timeout=PATIENCE)
    assert "EncodeError" in answer["a"]["error"]


@pytest.mark.parametrize(("pattern", "matcher", "error"), [("(", "pcre", "ValueError"), ("*", "sql", "MatcherNotInst")])
def test_a_pattern_that_cannot_be_read_is_answered_with_an_error(
    connection: Connection, start: Start, mailbox: Mailbox, pattern: str, matcher: str, error: str
) -> None:
    start("a")
    bound = mailbox(connection)
    [answer] = bound._broadcast("ping", reply=True, timeout=PATIENCE, limit=1, pattern=pattern, matcher=matcher) or []
    assert error in answer["a"]["error"]


@pytest.mark.parametrize(
    "body",
    [
        "ping",
        {"arguments": {}},
        {"method": 7},
        {"method": "ping", "arguments": [1]},
        {"method": "ping", "destination": "a"},
        {"method": "ping", "pattern": 1},
        {"method": "ping", "reply_to": "me"},
        {"method": "ping", "reply_to": {"exchange": "x"}},
    ],
)
def test_what_is_no_command_is_logged_and_ignored(
    connection: Connection, mailbox: Mailbox, caplog: pytest.LogCaptureFixture, body: object
) -> None:
    called: list[object] = []
    node = mailbox(connection).Node("a", handlers={"ping": called.append})
    node.listen()
    connection.Producer().publish(body, exchange=mailbox.exchange, serializer="json")
    drain(connection, 1)
    assert called == []
    assert "node a" in caplog.text


def test_a_message_of_another_type_is_logged_and_ignored(
    connection: Connection, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    node = mailbox(connection).Node("a", handlers=HANDLERS)
    node.listen()
    connection.Producer().publish({"method": "ping"}, exchange=mailbox.exchange, serializer="pickle")
    drain(connection, 1)
    assert "cannot decode" in caplog.text


def test_a_caller_who_names_a_bad_place_for_replies_does_not_end_the_node(
    connection: Connection, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    Exchange("orders", "topic")(connection).declare()
    node = mailbox(connection).Node("a", handlers=HANDLERS)
    assert node.dispatch("ping", reply_to={"exchange": "orders", "routing_key": "x"}, ticket="1") == "pong"
    assert "orders" in caplog.text


def test_a_handler_may_end_the_program(mailbox: Mailbox) -> None:
    def shutdown(state: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        mailbox.Node("a", handlers={"shutdown": shutdown}).dispatch("shutdown")


def test_without_a_reply_the_caller_gets_none_when_the_time_is_over(connection: Connection, mailbox: Mailbox) -> None:
    assert mailbox(connection).multi_call("ping", timeout=0.05) == []
    assert mailbox(connection).call(["nobody"], "ping", timeout=0) == []


def test_those_who_replied_in_time_are_not_lost_with_those_who_did_not(
    connection: Connection, start: Start, mailbox: Mailbox
) -> None:
    start("a")
    assert mailbox(connection).call(["a", "nobody"], "ping", timeout=1.0) == replies("a")


def test_other_messages_that_trickle_in_do_not_make_the_wait_longer(
    connection: Connection, connect: Connect, mailbox: Mailbox
) -> None:
    """Each message restarts the patience of whoever measures it anew: this one would wait as long as they come."""
    Queue("chatter")(connection).declare()
    seen: list[object] = []
    over = threading.Event()

    def chat() -> None:
        producer = connect().Producer()
        while not over.wait(0.01):
            producer.publish("hi", routing_key="chatter")

    talking = threading.Thread(target=chat)
    talking.start()
    ended = threading.Timer(PATIENCE, over.set)
    ended.start()
    try:
        with connection.Consumer(Queue("chatter"), callbacks=[lambda body, message: seen.append(body)], no_ack=True):
            assert mailbox(connection).multi_call("ping", timeout=0.3) == []
        assert not over.is_set()
    finally:
        over.set()
        ended.cancel()
        talking.join(PATIENCE)
    assert len(seen) > 1


def test_a_call_returns_as_soon_as_all_have_replied(connection: Connection, start: Start, mailbox: Mailbox) -> None:
    start("a")
    began = time.monotonic()
    assert mailbox(connection).call(["a", "a"], "ping", timeout=60) == replies("a")
    assert time.monotonic() - began < PATIENCE


def test_a_limit_ends_the_wait(connection: Connection, start: Start, mailbox: Mailbox) -> None:
    for hostname in ("a", "b", "c"):
        start(hostname)
    assert len(mailbox(connection).multi_call("ping", timeout=60, limit=2)) == 2


def test_a_late_reply_is_not_taken_for_one_to_the_next_command(connection: Connection, mailbox: Mailbox) -> None:
    """The node answers the first call while the second one waits."""
    caller, node = mailbox(connection), mailbox(connection).Node("a")
    first: list[tuple[dict[str, str], str]] = []

    @node.handler
    def slow(state: Any) -> str:
        raise AssertionError("called by hand below")

    @node.handler
    def quick(state: Any) -> str:
        reply_to, ticket = first.pop()
        node.reply({"a": "late"}, reply_to["exchange"], reply_to["routing_key"], ticket)
        return "in time"

    def heard(body: Any, message: object) -> None:
        if body["method"] == "slow":
            first.append((body["reply_to"], body["ticket"]))
        else:
            node.handle_message(body)

    with node.listen(connection.channel(), callback=heard):
        assert caller.call(["a"], "slow", timeout=0.1) == []
        assert caller.call(["a"], "quick", timeout=PATIENCE) == [{"a": "in time"}]


def test_each_reply_is_told_as_it_comes(connection: Connection, start: Start, mailbox: Mailbox) -> None:
    for hostname in ("a", "b"):
        start(hostname)
    heard: list[Any] = []
    answers = mailbox(connection).call(["a", "b"], "ping", timeout=PATIENCE, callback=heard.append)
    assert heard == answers
    assert len(heard) == 2


def test_a_reply_that_cannot_be_decoded_does_not_take_the_others_with_it(
    connection: Connection, start: Start, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    start("strange", Mailbox("shop", serializer="pickle"))
    start("usual")
    answers = mailbox(connection).multi_call("ping", timeout=1.0)
    assert answers == replies("usual")
    assert "a reply cannot be decoded" in caplog.text


class Cuttable(MemoryStore):
    """Stands for a connection that a broker may cut, which shows when it is used next."""

    cut = False

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        self._check()
        super().put(items, version)

    def topology(self) -> Topology:
        self._check()
        return super().topology()

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        self._check()
        super().wait(queues, timeout)

    def _check(self) -> None:
        if self.cut:
            raise ConnectionError("cut by the server")


@pytest.fixture
def stores() -> list[Cuttable]:
    return []


@pytest.fixture
def cuttable(connect: Connect, name: str, stores: list[Cuttable]) -> Connection:
    def make() -> Cuttable:
        stores.append(Cuttable(name))
        return stores[-1]

    connection = connect(transport=transport_over(make))
    connection.connect()
    return connection


def test_a_call_over_a_connection_that_was_cut_is_answered_over_a_new_one(
    cuttable: Connection, stores: list[Cuttable], start: Start, mailbox: Mailbox
) -> None:
    start("a")
    bound = mailbox(cuttable)
    assert bound.call(["a"], "ping", timeout=PATIENCE) == replies("a")
    stores[-1].cut = True
    assert bound.call(["a"], "ping", timeout=PATIENCE) == replies("a")
    assert len(stores) == 2


def test_a_cast_over_a_connection_that_was_cut_is_sent_over_a_new_one(
    cuttable: Connection, stores: list[Cuttable], start: Start, mailbox: Mailbox
) -> None:
    done = threading.Event()
    start("a", reload=lambda state: done.set())
    stores[-1].cut = True
    mailbox(cuttable).cast(["a"], "reload")
    assert done.wait(PATIENCE)


def test_a_channel_of_the_callers_that_was_cut_is_replaced(
    cuttable: Connection, stores: list[Cuttable], start: Start, mailbox: Mailbox
) -> None:
    start("a")
    channel = cuttable.channel()
    stores[-1].cut = True
    assert mailbox(cuttable).call(["a"], "ping", timeout=PATIENCE, channel=channel) == replies("a")


def test_a_broker_that_stays_away_is_an_error(connect: Connect, name: str, mailbox: Mailbox) -> None:
    class Away(Cuttable):
        cut = True

    connection = connect(transport=transport_over(lambda: Away(name)))
    with pytest.raises(ConnectionError):
        mailbox(connection).multi_call("ping", timeout=0.1)
    with pytest.raises(OperationalError):
        mailbox(connection).abcast("ping")
    Away.cut = False


def test_a_connection_that_is_cut_while_replies_are_awaited_is_an_error(
    cuttable: Connection, stores: list[Cuttable], start: Start, mailbox: Mailbox
) -> None:
    """The command was done: to send it again is for the caller to decide."""
    calls: list[int] = []

    def cut(state: Any) -> None:
        calls.append(1)
        stores[-1].cut = True

    start("a", cut=cut)
    with pytest.raises(ConnectionError):
        mailbox(cuttable).call(["a", "nobody"], "cut", timeout=PATIENCE)
    assert calls == [1]
    assert mailbox(cuttable).call(["a"], "ping", timeout=PATIENCE) == replies("a")


def test_what_cannot_be_encoded_leaves_nothing_behind(
    connection: Connection, connect: Connect, start: Start, mailbox: Mailbox
) -> None:
    start("a")
    with pytest.raises(EncodeError):
        mailbox(connection).call(["a"], "ping", {"what": object()}, timeout=PATIENCE)
    assert mailbox(connect()).call(["a"], "ping", timeout=PATIENCE) == replies("a")


def test_one_thread_may_call_over_one_connection_after_another(
    connect: Connect, start: Start, mailbox: Mailbox
) -> None:
    start("a")
    for _ in range(3):
        assert mailbox(connect()).call(["a"], "ping", timeout=PATIENCE) == replies("a")


def test_threads_that_call_at_once_get_their_own_replies(connect: Connect, start: Start, mailbox: Mailbox) -> None:
    start("a", echo=lambda state, what: what)
    together, wrong = threading.Barrier(4), []

    def call(number: int) -> None:
        bound = mailbox(connect())
        together.wait(PATIENCE)
        for turn in range(5):
            said = f"{number}.{turn}"
            answers = bound.call(["a"], "echo", {"what": said}, timeout=PATIENCE)
            if answers != [{"a": said}]:
                wrong.append((said, answers))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


class OnePool:
    """Lends a producer of its own, and counts how often."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.lent = connection, 0

    def acquire(self) -> AbstractContextManager[Producer]:
        @contextmanager
        def lend() -> Iterator[Producer]:
            self.lent += 1
            yield self.connection.Producer()

        return lend()


@pytest.mark.parametrize("wrap", [lambda pool: pool, lambda pool: lazy(lambda: pool)])
def test_a_pool_of_producers_is_what_is_published_with(
    connection: Connection, cuttable: Connection, stores: list[Cuttable], start: Start, wrap: Callable[[Any], Any]
) -> None:
    pool = OnePool(cuttable)
    mailbox = Mailbox("shop", producer_pool=wrap(pool))
    start("a", Mailbox("shop"))
    assert mailbox(connection).call(["a"], "ping", timeout=PATIENCE) == replies("a")
    stores[-1].cut = True
    assert mailbox(connection).call(["a"], "ping", timeout=PATIENCE) == replies("a")
    assert pool.lent == 2


def test_a_cast_needs_a_pool_or_a_connection(connection: Connection, start: Start) -> None:
    done = threading.Event()
    start("a", reload=lambda state: done.set())
    Mailbox("shop", producer_pool=OnePool(connection)).cast(["a"], "reload")
    assert done.wait(PATIENCE)
    with pytest.raises(NotBoundError, match="shop"):
        Mailbox("shop").abcast("reload")


def test_what_travels_is_what_todays_nodes_and_callers_know(connection: Connection, connect: Connect) -> None:
    mailbox = Mailbox("shop", type="fanout")
    seen: list[Any] = []
    node = mailbox(connect()).Node("a@b")
    watched = node.listen(callback=lambda body, message: seen.append((body, message)))
    assert [queue.name for queue in watched.queues] == ["a@b.shop.pidbox"]
    bound = mailbox(connection)
    bound._broadcast("ping", {"x": 1}, ["a@b"], reply=True, timeout=0, pattern="*", matcher="glob")
    drain(node.mailbox.bound(), 1)
    [(body, message)] = seen
    ticket = body.pop("ticket")
    assert body == {
        "method": "ping",
        "arguments": {"x": 1},
        "destination": ["a@b"],
        "pattern": "*",
        "matcher": "glob",
        "reply_to": {"exchange": "reply.shop.pidbox", "routing_key": bound.oid},
    }
    assert message.delivery_info["exchange"] == "shop.pidbox"
    assert message.properties["delivery_mode"] == 1
    assert message.headers["clock"] > 0
    assert message.headers["expires"] == 0
    answers: list[Any] = []
    queue = bound.reply_queue
    assert queue.name == f"{bound.oid}.reply.shop.pidbox"
    assert (queue.routing_key, queue.auto_delete, queue.expires) == (bound.oid, True, 10.0)
    with connection.Consumer(queue, on_message=answers.append, no_ack=True):
        node.channel = node.mailbox.bound().default_channel
        node.reply({"a@b": "pong"}, "reply.shop.pidbox", bound.oid, ticket)
        drain(connection, 1)
    [answer] = answers
    assert answer.payload == {"a@b": "pong"}
    assert answer.headers["ticket"] == ticket
    assert answer.headers["clock"] > message.headers["clock"]


def test_a_command_that_nobody_waits_for_names_no_place_for_replies(connection: Connection, mailbox: Mailbox) -> None:
    seen: list[Any] = []
    bound = mailbox(connection)
    bound.Node("a").listen(callback=lambda body, message: seen.append(body))
    bound.abcast("ping")
    drain(connection, 1)
    assert seen == [{"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None}]


def test_the_time_after_which_nobody_waits_travels_too(connection: Connection, mailbox: Mailbox) -> None:
    seen: list[Any] = []
    bound = mailbox(connection)
    bound.Node("a").listen(callback=lambda body, message: seen.append(message))
    before = time.time()
    bound.multi_call("ping", timeout=0.2)
    assert before + 0.2 <= seen[0].headers["expires"] <= time.time() + 0.2


def test_callers_and_nodes_clocks_go_forward_together(connection: Connection, start: Start) -> None:
    here, there = LamportClock(100), LamportClock(5)
    start("a", Mailbox("shop", clock=there))
    Mailbox("shop", clock=here)(connection).call(["a"], "ping", timeout=PATIENCE)
    assert there.value > 100
    assert here.value > there.value


def test_a_clock_that_is_no_number_is_not_believed(connection: Connection, mailbox: Mailbox) -> None:
    mailbox(connection).Node("a", handlers=HANDLERS).listen()
    connection.Producer().publish({"method": "ping"}, exchange=mailbox.exchange, headers={"clock": "soon"})
    drain(connection, 1)
    assert mailbox.clock.value == 1


def test_a_second_node_of_one_name_is_refused(connect: Connect, mailbox: Mailbox) -> None:
    mailbox(connect()).Node("a").listen()
    with pytest.raises(ResourceLocked, match=r"a\.shop\.pidbox"):
        mailbox(connect()).Node("a").listen()


def test_a_second_node_that_shares_a_queue_is_told_of(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    mailbox = Mailbox("shop", queue_exclusive=False)
    mailbox(connect()).Node("a").listen()
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        mailbox(connect()).Node("a").listen()
    assert "a.shop.pidbox" in caplog.text


def test_nothing_is_left_of_a_node_and_a_caller_that_are_gone(
    connection: Connection, connect: Connect, mailbox: Mailbox, store: MemoryStore
) -> None:
    node, caller = mailbox(connect()), mailbox(connection)
    consumer = node.Node("a").listen()
    caller.multi_call("ping", timeout=0)
    assert list(store.topology().queues) == ["a.shop.pidbox"]
    consumer.cancel()
    assert list(store.topology().queues) == []


def test_a_durable_queue_outlives_its_node_and_keeps_what_it_missed(connect: Connect) -> None:
    mailbox = Mailbox("shop", queue_durable=True, queue_exclusive=False)
    connection = connect()
    mailbox(connection).Node("a").listen().cancel()
    done: list[str] = []
    mailbox(connect()).abcast("reload")
    mailbox(connection).Node("a", handlers={"reload": lambda state: done.append("reload")}).listen()
    drain(connection, 1)
    assert done == ["reload"]


def test_the_queues_arguments_are_those_that_were_asked_for() -> None:
    mailbox = Mailbox("shop", queue_ttl=1.5, queue_expires=60, reply_queue_ttl=2, reply_queue_expires=None)
    assert mailbox.get_queue("a").arguments == {"x-message-ttl": 1500, "x-expires": 60_000}
    assert mailbox.get_reply_queue().arguments == {"x-message-ttl": 2000}


def test_a_queue_cannot_be_durable_and_exclusive() -> None:
    with pytest.raises(ValueError, match="queue_exclusive=False"):
        Mailbox("shop", queue_durable=True)


def test_a_caller_has_the_same_name_in_all_copies_but_not_in_another_thread(
    connection: Connection, mailbox: Mailbox
) -> None:
    others: list[str] = []
    thread = threading.Thread(target=lambda: others.append(mailbox.oid))
    thread.start()
    thread.join(PATIENCE)
    assert mailbox.oid == mailbox(connection).oid
    assert others != [mailbox.oid]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_caller_has_a_name_of_its_own(mailbox: Mailbox) -> None:
    mine = mailbox.oid
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, mailbox.oid.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert theirs not in ("", mine)


@pytest.mark.parametrize("destination", ["a", [], [7]])
def test_a_destination_that_is_no_list_of_names_is_refused(
    connection: Connection, mailbox: Mailbox, destination: Any
) -> None:
    with pytest.raises(ValueError, match="destination"):
        mailbox(connection).cast(destination, "ping")


def test_a_wait_that_could_never_end_is_refused(connection: Connection, mailbox: Mailbox) -> None:
    with pytest.raises(ValueError, match="timeout or a limit"):
        mailbox(connection).multi_call("ping", timeout=None)


def test_an_unbound_mailbox_says_so(mailbox: Mailbox) -> None:
    with pytest.raises(NotBoundError, match="mailbox"):
        mailbox.multi_call("ping")
    with pytest.raises(NotBoundError, match="shop"):
        mailbox.Node("a").listen()
    with pytest.raises(NotBoundError, match=r"Mailbox\.Node"):
        Node("a").listen()


def test_binding_leaves_the_mailbox_itself_as_it_is(connection: Connection, mailbox: Mailbox) -> None:
    assert mailbox(connection).connection is connection
    assert mailbox.connection is None
    assert "shop" in repr(mailbox)


def test_nothing_is_declared_until_it_is_used(connection: Connection, mailbox: Mailbox) -> None:
    node = mailbox(connection).Node()
    with pytest.raises(NotFound):
        Queue(f"{node.hostname}.shop.pidbox")(connection).queue_declare(passive=True)
    nothing_comes(connection)
