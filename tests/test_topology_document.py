"""A topology that is one document: every change begins with the last one, and what cannot be read is left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import pytest

from kombu.exceptions import InconsistencyError, OperationalError
from kombu.retry import RetryPolicy
from kombu.testing.case import in_threads
from kombu.testing.keeper import ARGUMENTS
from kombu.transport.virtual import document
from kombu.transport.virtual.document import DocumentTopology, read_topology, written
from kombu.transport.virtual.store import Capabilities, QueueSpec, TopologyMoved
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology, TopologyStore
from kombu.utils import json

FORMAT_1 = (
    '{"format":1,"version":9007199254740993,'
    '"exchanges":[{"name":"shop","type":"topic","durable":true,"auto_delete":false,"arguments":{}}],'
    '"queues":[{"name":"orders","durable":true,"exclusive":false,"auto_delete":false,"arguments":{"x-max-priority":9}}],'
    '"bindings":[{"source":"shop","destination":"orders","routing_key":"order.#","arguments":{},"to_exchange":false}]}'
)
SHOP, ORDERS = ExchangeSpec(name="shop", type="topic"), QueueSpec(name="orders", arguments={"x-max-priority": 9})
BOUND = BindingSpec(source="shop", destination="orders", routing_key="order.#")


@dataclass
class Shelf:
    """Where the document lies. ``revision`` counts how often it was replaced."""

    text: str = ""
    version: int = 0
    revision: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class ShelfStore(DocumentTopology[int]):
    """A handle. ``meanwhile`` is what others do between its reading and its writing, once each."""

    capabilities = Capabilities(name="shelf")

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.meanwhile: list[Callable[[], object]] = []

    def read_document(self) -> tuple[str, int]:
        with self.shelf.lock:
            return self.shelf.text, self.shelf.revision

    def write_document(self, text: str, version: int, revision: int) -> bool:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        with self.shelf.lock:
            if self.shelf.revision != revision:
                return False
            self.shelf.text, self.shelf.version, self.shelf.revision = text, version, revision + 1
            return True


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def store(shelf: Shelf) -> ShelfStore:
    return ShelfStore(shelf)


@pytest.fixture
def other(shelf: Shelf) -> ShelfStore:
    """As in another process."""
    return ShelfStore(shelf)


def test_it_is_a_topology_store(store: ShelfStore) -> None:
    assert isinstance(store, TopologyStore)


def test_nothing_is_declared_where_there_is_no_document(store: ShelfStore) -> None:
    assert store.topology() == Topology()


def test_what_one_declares_another_reads(store: ShelfStore, other: ShelfStore) -> None:
    exchange = ExchangeSpec(name="strange", type="x-odd", durable=False, auto_delete=True, arguments=ARGUMENTS)
    queue = QueueSpec(name="own", durable=False, exclusive=True, auto_delete=True, arguments=ARGUMENTS)
    into_queue = BindingSpec(source="strange", destination="own", arguments={"since": date(2024, 2, 29)})
    into_exchange = BindingSpec(source="strange", destination="strange", routing_key="größe", to_exchange=True)
    store.declare_exchange(exchange)
    store.declare(queue)
    store.bind(into_queue)
    store.bind(into_exchange)
    found = other.topology()
    assert (found.exchanges, found.queues) == ({"strange": exchange}, {"own": queue})
    assert found.bindings == (into_queue, into_exchange)


def test_a_change_that_is_none_is_not_written(store: ShelfStore, shelf: Shelf) -> None:
    store.declare_exchange(SHOP)
    store.declare(ORDERS)
    store.bind(BOUND)
    before = shelf.text
    store.declare_exchange(ExchangeSpec(name="shop", type="fanout"))
    store.declare(QueueSpec(name="orders", durable=False))
    store.bind(BOUND)
    store.unbind(BindingSpec(source="shop", destination="orders"))
    assert not store.delete_exchange("shop", if_unused=True)
    assert not store.delete_exchange("unknown")
    assert not store.forget_queue("unknown")
    assert (shelf.text, shelf.revision) == (before, 3)


def test_every_change_has_a_new_version_which_the_store_is_told(store: ShelfStore, shelf: Shelf) -> None:
    versions = [shelf.version]
    for _ in range(2):
        for change in (
            partial(store.declare, ORDERS),
            partial(store.bind, BOUND),
            partial(store.forget_queue, "orders"),
        ):
            change()
            assert store.topology().version == shelf.version
            versions.append(shelf.version)
    assert len(set(versions)) == len(versions)


def test_a_queue_is_forgotten_with_the_bindings_to_it(store: ShelfStore) -> None:
    store.declare(ORDERS)
    store.bind(BOUND)
    stays = BindingSpec(source="orders", destination="orders", to_exchange=True)
    store.bind(stays)
    assert store.forget_queue("orders")
    assert (store.topology().queues, store.topology().bindings) == ({}, (stays,))


def test_an_exchange_is_deleted_with_the_bindings_from_and_to_it(store: ShelfStore) -> None:
    store.declare_exchange(SHOP)
    store.bind(BOUND)
    store.bind(BindingSpec(source="mall", destination="shop", to_exchange=True))
    stays = BindingSpec(source="mall", destination="shop")
    store.bind(stays)
    assert store.delete_exchange("shop")
    assert (store.topology().exchanges, store.topology().bindings) == ({}, (stays,))


def test_arguments_of_different_types_make_different_bindings(store: ShelfStore) -> None:
    values: list[object] = [1, 1.0, "1", True, [1], {"1": 1}, None]
    bindings = [BindingSpec(source="s", destination="d", arguments={"a": value}) for value in values]
    for binding in bindings * 2:
        store.bind(binding)
    for number, binding in enumerate(bindings):
        assert repr(store.topology().bindings) == repr(tuple(bindings[number:]))
        store.unbind(binding)
    assert store.topology().bindings == ()


def test_arguments_are_the_same_in_any_order_and_a_tuple_is_a_list(store: ShelfStore) -> None:
    store.bind(BindingSpec(source="s", destination="d", arguments={"a": (1, 2), "b": 2}))
    store.bind(BindingSpec(source="s", destination="d", arguments={"b": 2, "a": [1, 2]}))
    assert len(store.topology().bindings) == 1
    store.unbind(BindingSpec(source="s", destination="d", arguments={"b": 2, "a": (1, 2)}))
    assert store.topology().bindings == ()


def test_a_change_that_lost_a_race_keeps_what_the_other_changed(store: ShelfStore, other: ShelfStore) -> None:
    store.meanwhile = [partial(other.declare, QueueSpec(name="a")), partial(other.declare, QueueSpec(name="b"))]
    store.declare(ORDERS)
    assert set(store.topology().queues) == {"a", "b", "orders"}


def test_who_lost_a_race_to_the_same_change_changes_nothing_more(
    store: ShelfStore, other: ShelfStore, shelf: Shelf
) -> None:
    store.declare(ORDERS)
    store.meanwhile = [partial(other.forget_queue, "orders")]
    assert not store.forget_queue("orders")
    assert shelf.revision == 2


def test_an_exchange_that_was_bound_meanwhile_is_not_deleted_as_unused(store: ShelfStore, other: ShelfStore) -> None:
    store.declare_exchange(SHOP)
    store.meanwhile = [partial(other.bind, BOUND)]
    assert not store.delete_exchange("shop", if_unused=True)
    assert store.topology().bindings == (BOUND,)


def test_who_always_loses_is_told_so_in_the_end(
    store: ShelfStore, other: ShelfStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "_PATIENCE", RetryPolicy(max_retries=3, interval_start=0, interval_step=0))
    store.meanwhile = [partial(other.declare, QueueSpec(name=name)) for name in "abcd"]
    with pytest.raises(OperationalError, match=r"transport 'shelf'.*kept changing.*try again"):
        store.declare(ORDERS)
    assert set(store.topology().queues) == set("abcd")


def test_what_many_declare_at_once_is_all_kept(shelf: Shelf) -> None:
    def declare(name: str) -> None:
        store = ShelfStore(shelf)
        for number in range(10):
            store.declare(QueueSpec(name=f"{name}{number}"))

    in_threads([partial(declare, name) for name in "abcdefgh"])
    assert set(read_topology(shelf.text, "shelf").queues) == {
        f"{name}{number}" for name in "abcdefgh" for number in range(10)
    }


def test_an_error_of_the_store_ends_a_change_at_once(store: ShelfStore, shelf: Shelf) -> None:
    def fail() -> None:
        raise OperationalError("out of paper")

    store.meanwhile = [fail]
    with pytest.raises(OperationalError, match="out of paper"):
        store.declare(ORDERS)
    assert shelf == Shelf(lock=shelf.lock)


def test_a_put_may_go_on_with_the_current_version_and_queues_that_exist(store: ShelfStore) -> None:
    store.declare(ORDERS)
    store.check_topology(store.topology().version, ["orders"])
    store.check_topology(None, ["orders", "orders"])
    store.check_topology(None, [])


def test_a_put_with_an_old_version_or_into_a_missing_queue_is_to_be_routed_again(store: ShelfStore) -> None:
    store.declare(ORDERS)
    routed_with = store.topology().version
    store.bind(BOUND)
    with pytest.raises(TopologyMoved):
        store.check_topology(routed_with, ["orders"])
    with pytest.raises(TopologyMoved):
        store.check_topology(None, ["orders", "missing"])


def test_the_document_is_of_format_1() -> None:
    """What other versions of Kombu wrote; where this fails, the format needs another number."""
    topology = read_topology(FORMAT_1, "shelf")
    assert topology == Topology(
        version=9007199254740993, exchanges={"shop": SHOP}, queues={"orders": ORDERS}, bindings=(BOUND,)
    )
    assert written(topology) == FORMAT_1


def test_a_document_of_a_newer_format_is_neither_read_nor_replaced(store: ShelfStore, shelf: Shelf) -> None:
    shelf.text = newer = json.dumps({"format": 2, "version": 7, "rooms": []})
    told = r"transport 'shelf'.* has format 2, .* reads format 1: upgrade Kombu here"
    with pytest.raises(OperationalError, match=told) as refused:
        store.topology()
    assert not isinstance(refused.value, InconsistencyError)
    with pytest.raises(OperationalError, match=told):
        store.declare(ORDERS)
    assert shelf.text == newer


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"format":1}',
        '{"format":1,"version":1,"exchanges":[],"queues":[],"bindings":[],"rooms":[]}',
        '{"format":1,"version":1,"exchanges":[],"queues":[{"title":"orders"}],"bindings":[]}',
        '{"format":1,"version":1,"exchanges":[],"queues":[{"name":"orders","colour":"red"}],"bindings":[]}',
        '{"format":1,"version":1,"exchanges":[],"queues":7,"bindings":[]}',
    ],
)
def test_a_damaged_document_is_neither_read_nor_replaced(store: ShelfStore, shelf: Shelf, text: str) -> None:
    shelf.text = text
    with pytest.raises(InconsistencyError, match=r"transport 'shelf'.* is damaged \(.+\); restore it"):
        store.topology()
    with pytest.raises(InconsistencyError):
        store.declare(ORDERS)
    assert shelf.text == text
