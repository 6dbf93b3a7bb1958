"""Promises about topology: declared once, seen by everybody, and kept as it was declared."""

from __future__ import annotations

from functools import partial

from kombu.testing.case import ALIKE_NAMES, HOSTILE_NAMES, QUEUE, numbered
from kombu.testing.keeper import ARGUMENTS, StoreWithTopology, assert_same_bindings
from kombu.testing.versions import VersionConformance
from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec


class TopologyConformance(VersionConformance):
    """The promises of :class:`kombu.transport.virtual.topology.TopologyStore`, on top of the store's."""

    def test_a_new_store_has_no_topology(self) -> None:
        topology = self.keeper.topology()
        assert (topology.exchanges, topology.queues, topology.bindings) == ({}, {}, ())
        assert not topology.provisional

    def test_what_one_handle_declares_another_sees(self) -> None:
        other = self.another_keeper()
        other.topology()
        exchange, queue = ExchangeSpec(name="shop", type="topic"), QueueSpec(name=QUEUE)
        binding = BindingSpec(source="shop", destination=QUEUE, routing_key="order.*")
        self.keeper.declare_exchange(exchange)
        self.keeper.declare(queue)
        self.keeper.bind(binding)
        assert other.topology() == self.keeper.topology()
        assert other.topology().exchanges == {"shop": exchange}
        assert other.topology().queues == {QUEUE: queue}
        assert other.topology().bindings == (binding,)

    def test_the_topology_stays_when_a_handle_is_closed(self) -> None:
        first, second = self.another_keeper(), self.another_keeper()
        first.declare_exchange(ExchangeSpec(name="shop"))
        first.declare(QueueSpec(name=QUEUE))
        first.bind(BindingSpec(source="shop", destination=QUEUE))
        before = first.topology()
        self.close(first)
        assert second.topology() == before

    def test_exchanges_come_back_as_they_were_declared(self) -> None:
        specs = [
            ExchangeSpec(name="plain"),
            ExchangeSpec(name="passing", type="fanout", durable=False, auto_delete=True),
            ExchangeSpec(name="strange", type="x-odd", arguments=ARGUMENTS),
        ]
        for spec in specs:
            self.keeper.declare_exchange(spec)
        assert self.keeper.topology().exchanges == {spec.name: spec for spec in specs}

    def test_queues_come_back_as_they_were_declared(self) -> None:
        specs = [
            QueueSpec(name="plain"),
            QueueSpec(name="passing", durable=False, auto_delete=True),
            QueueSpec(name="own", exclusive=True),
            QueueSpec(name="strange", arguments={"x-max-priority": 9, "x-app": ARGUMENTS}),
        ]
        for spec in specs:
            self.keeper.declare(spec)
        assert self.keeper.topology().queues == {spec.name: spec for spec in specs}

    def test_bindings_come_back_as_they_were_declared(self) -> None:
        binding = BindingSpec(source="a", destination="b", routing_key="größe.#", arguments=ARGUMENTS)
        self.declare_all("a", queues=["b"])
        self.keeper.bind(binding)
        assert self.keeper.topology().bindings == (binding,)

    def test_hostile_names_and_keys_are_only_text(self) -> None:
        self.declare_all(*HOSTILE_NAMES, queues=HOSTILE_NAMES)
        bindings = [BindingSpec(source=n, destination=n, routing_key=n) for n in HOSTILE_NAMES]
        for binding in bindings:
            self.keeper.bind(binding)
        topology = self.keeper.topology()
        assert set(topology.exchanges) == set(topology.queues) == set(HOSTILE_NAMES)
        assert_same_bindings(topology, bindings)
        for name in HOSTILE_NAMES:
            self.keeper.delete_exchange(name)
        assert self.keeper.topology().exchanges == {}
        assert self.keeper.topology().bindings == ()

    def test_names_and_keys_that_look_alike_are_kept_apart(self) -> None:
        self.declare_all(*ALIKE_NAMES, queues=ALIKE_NAMES)
        bindings = [BindingSpec(source="cafe", destination="cafe", routing_key=key) for key in ALIKE_NAMES]
        for binding in bindings:
            self.keeper.bind(binding)
        assert set(self.keeper.topology().exchanges) == set(ALIKE_NAMES)
        assert_same_bindings(self.keeper.topology(), bindings)
        self.keeper.unbind(bindings[0])
        self.keeper.delete_exchange("Cafe")
        assert set(self.keeper.topology().exchanges) == set(ALIKE_NAMES) - {"Cafe"}
        assert_same_bindings(self.keeper.topology(), bindings[1:])

    def test_an_exchange_declared_again_stays_as_it_was(self) -> None:
        first = ExchangeSpec(name="shop", type="topic", arguments={"a": 1})
        self.keeper.declare_exchange(first)
        self.keeper.declare_exchange(ExchangeSpec(name="shop", type="fanout", durable=False))
        assert self.keeper.topology().exchanges == {"shop": first}

    def test_a_queue_declared_again_stays_as_it_was(self) -> None:
        first = QueueSpec(name=QUEUE, arguments={"x-max-priority": 9})
        self.keeper.declare(first)
        self.keeper.declare(QueueSpec(name=QUEUE, durable=False))
        assert self.keeper.topology().queues == {QUEUE: first}

    def test_binding_twice_binds_once(self) -> None:
        self.declare_all("shop", queues=[QUEUE])
        arguments = {"x-match": "all", "colour": "red"}
        same = dict(reversed(arguments.items()))
        self.keeper.bind(BindingSpec(source="shop", destination=QUEUE, arguments=arguments))
        self.keeper.bind(BindingSpec(source="shop", destination=QUEUE, arguments=same))
        assert len(self.keeper.topology().bindings) == 1

    def test_bindings_that_differ_in_anything_are_all_kept(self) -> None:
        bindings = self.bind_similar()
        assert_same_bindings(self.keeper.topology(), bindings)

    def test_unbinding_removes_only_its_own_binding(self) -> None:
        bindings = self.bind_similar()
        for number, binding in enumerate(bindings, start=1):
            self.keeper.unbind(binding)
            assert_same_bindings(self.keeper.topology(), bindings[number:])

    def test_an_exchange_bound_to_an_exchange_is_not_bound_to_the_queue_of_that_name(self) -> None:
        self.declare_all("source", "same", queues=["same"])
        to_exchange = BindingSpec(source="source", destination="same", to_exchange=True)
        self.keeper.bind(to_exchange)
        assert self.keeper.topology().bindings == (to_exchange,)
        self.keeper.unbind(BindingSpec(source="source", destination="same"))
        assert self.keeper.topology().bindings == (to_exchange,)

    def test_deleting_an_exchange_removes_the_bindings_from_it_and_to_it(self) -> None:
        self.declare_all("gone", "other", queues=["gone", QUEUE])
        self.keeper.bind(BindingSpec(source="gone", destination=QUEUE))
        self.keeper.bind(BindingSpec(source="gone", destination="other", to_exchange=True))
        self.keeper.bind(BindingSpec(source="other", destination="gone", to_exchange=True))
        stays = [
            BindingSpec(source="other", destination=QUEUE),
            BindingSpec(source="other", destination="gone", routing_key="the queue"),
        ]
        for binding in stays:
            self.keeper.bind(binding)
        self.keeper.delete_exchange("gone")
        assert set(self.keeper.topology().exchanges) == {"other"}
        assert set(self.keeper.topology().queues) == {"gone", QUEUE}
        assert_same_bindings(self.keeper.topology(), stays)

    def test_deleting_an_exchange_tells_whether_it_is_gone_by_that(self) -> None:
        self.declare_all("shop", "mall", queues=[])
        assert self.keeper.delete_exchange("shop")
        assert self.keeper.delete_exchange("mall", if_unused=True)
        assert not self.keeper.delete_exchange("shop")
        assert not self.keeper.delete_exchange("mall", if_unused=True)

    def test_an_exchange_that_is_used_is_left_if_it_is_to_be_unused(self) -> None:
        self.declare_all("shop", "other", queues=[QUEUE])
        binding = BindingSpec(source="shop", destination=QUEUE)
        self.keeper.bind(binding)
        self.keeper.bind(BindingSpec(source="other", destination="shop", to_exchange=True))
        before = self.keeper.topology()
        assert not self.keeper.delete_exchange("shop", if_unused=True)
        assert self.keeper.topology() == before
        self.keeper.unbind(binding)
        assert self.keeper.delete_exchange("shop", if_unused=True)
        assert self.keeper.topology().bindings == ()

    def test_deleting_a_queue_removes_the_bindings_to_it(self) -> None:
        self.declare_all("shop", "gone", queues=["gone", QUEUE])
        self.keeper.bind(BindingSpec(source="shop", destination="gone"))
        self.keeper.bind(BindingSpec(source="shop", destination="gone", routing_key="another"))
        stays = [
            BindingSpec(source="shop", destination=QUEUE),
            BindingSpec(source="shop", destination="gone", to_exchange=True),
            BindingSpec(source="gone", destination=QUEUE),
        ]
        for binding in stays:
            self.keeper.bind(binding)
        self.keeper.delete("gone")
        assert set(self.keeper.topology().queues) == {QUEUE}
        assert_same_bindings(self.keeper.topology(), stays)

    def test_a_queue_declared_again_after_it_was_deleted_is_not_bound(self) -> None:
        self.declare_all("shop", queues=[QUEUE])
        self.keeper.bind(BindingSpec(source="shop", destination=QUEUE))
        self.keeper.delete(QUEUE)
        self.keeper.declare(QueueSpec(name=QUEUE))
        assert self.keeper.topology().bindings == ()

    def test_what_many_declare_and_bind_at_once_is_all_kept(self) -> None:
        self.declare_all("shop", queues=[QUEUE])
        names = ("a", "b", "c", "d")
        self.at_once([partial(self.declare_and_bind, self.another_keeper(), name) for name in names])
        topology = self.keeper.topology()
        assert set(topology.exchanges) == {"shop", "shared", *(f"{n}{i}" for n in names for i in numbered(5))}
        assert len(topology.bindings) == 5 * len(names) + 1

    def declare_and_bind(self, keeper: StoreWithTopology, name: str) -> None:
        keeper.declare_exchange(ExchangeSpec(name="shared"))
        keeper.bind(BindingSpec(source="shared", destination=QUEUE))
        for number in numbered(5):
            keeper.declare_exchange(ExchangeSpec(name=name + number))
            keeper.bind(BindingSpec(source="shop", destination=QUEUE, routing_key=name + number))

    def bind_similar(self) -> list[BindingSpec]:
        """Bind in ways that each differ from the first in one thing only."""
        self.declare_all("shop", "mall", QUEUE, queues=[QUEUE, "other"])
        bindings = [
            BindingSpec(source="shop", destination=QUEUE),
            BindingSpec(source="shop", destination=QUEUE, routing_key="key"),
            BindingSpec(source="shop", destination=QUEUE, arguments={"a": 1}),
            BindingSpec(source="shop", destination=QUEUE, arguments={"a": 2}),
            BindingSpec(source="shop", destination=QUEUE, arguments={"a": "1"}),
            BindingSpec(source="shop", destination=QUEUE, to_exchange=True),
            BindingSpec(source="shop", destination="other"),
            BindingSpec(source="mall", destination=QUEUE),
        ]
        for binding in bindings:
            self.keeper.bind(binding)
        return bindings
