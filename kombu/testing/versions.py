"""Promises about the topology's version: every change is noticed by whoever routed with an older one."""

from __future__ import annotations

from functools import partial

from kombu.testing.case import LEASE, QUEUE, bodies, message, raises
from kombu.testing.keeper import ARGUMENTS, TopologyCase
from kombu.transport.virtual.store import Done, QueueSpec, TopologyMoved
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec


class VersionConformance(TopologyCase):
    """Versions, and putting with them."""

    def test_every_change_gives_a_version_that_never_was_before(self) -> None:
        binding = BindingSpec(source="shop", destination=QUEUE)
        versions = [self.keeper.topology().version]
        for _ in range(2):
            for change in (
                partial(self.keeper.declare_exchange, ExchangeSpec(name="shop")),
                partial(self.keeper.declare, QueueSpec(name=QUEUE)),
                partial(self.keeper.bind, binding),
                partial(self.keeper.unbind, binding),
                partial(self.keeper.delete, QUEUE),
                partial(self.keeper.delete_exchange, "shop"),
            ):
                change()
                versions.append(self.keeper.topology().version)
        assert len(set(versions)) == len(versions)

    def test_what_changes_nothing_keeps_the_version(self) -> None:
        binding = BindingSpec(source="shop", destination=QUEUE, arguments=ARGUMENTS)
        self.declare_all("shop", queues=[QUEUE])
        self.keeper.bind(binding)
        before = self.keeper.topology()
        self.keeper.declare_exchange(ExchangeSpec(name="shop", type="fanout"))
        self.keeper.declare(QueueSpec(name=QUEUE, durable=False))
        self.keeper.bind(binding)
        self.keeper.unbind(BindingSpec(source="shop", destination=QUEUE, routing_key="never bound"))
        self.keeper.delete_exchange("unknown")
        self.keeper.delete("unknown")
        assert self.keeper.topology() == before

    def test_messages_do_not_change_the_version(self) -> None:
        self.keeper.declare(QueueSpec(name=QUEUE))
        before = self.keeper.topology().version
        self.keeper.put([(QUEUE, message("a"))])
        self.keeper.settle([Done(delivery.lease) for delivery in self.keeper.claim({QUEUE: 1}, LEASE)])
        self.keeper.purge(QUEUE)
        assert self.keeper.topology().version == before

    def test_a_put_with_the_current_version_is_stored(self) -> None:
        self.declare_all("shop", queues=[QUEUE])
        self.keeper.put([(QUEUE, message("a"))], self.keeper.topology().version)
        assert bodies(self.take(1)) == ["a"]

    def test_a_put_routed_before_a_queue_was_bound_stores_nothing(self) -> None:
        """The publisher has a handle of its own, as in another process."""
        self.declare_all("shop", queues=[QUEUE, "late"])
        publisher = self.another_keeper()
        routed_with = publisher.topology().version
        self.keeper.bind(BindingSpec(source="shop", destination="late"))
        with raises(TopologyMoved):
            publisher.put([(QUEUE, message("a"))], routed_with)
        assert self.counts().total == 0
        publisher.put([(QUEUE, message("a"))], publisher.topology().version)
        assert self.counts().total == 1

    def test_every_kind_of_change_makes_an_older_version_stale(self) -> None:
        self.declare_all("shop", queues=[QUEUE])
        binding = BindingSpec(source="shop", destination=QUEUE)
        for change in (
            partial(self.keeper.bind, binding),
            partial(self.keeper.unbind, binding),
            partial(self.keeper.declare, QueueSpec(name="new")),
            partial(self.keeper.delete, "new"),
            partial(self.keeper.declare_exchange, ExchangeSpec(name="new")),
            partial(self.keeper.delete_exchange, "new"),
        ):
            routed_with = self.keeper.topology().version
            change()
            with raises(TopologyMoved):
                self.keeper.put([(QUEUE, message("a"))], routed_with)
        assert self.counts().total == 0

    def test_a_put_of_nothing_only_looks_at_the_version(self) -> None:
        self.declare_all("shop", queues=[QUEUE])
        routed_with = self.keeper.topology().version
        self.keeper.put([], routed_with)
        self.keeper.put([])
        self.keeper.bind(BindingSpec(source="shop", destination=QUEUE))
        with raises(TopologyMoved):
            self.keeper.put([], routed_with)

    def test_a_put_without_a_version_goes_where_it_is_told(self) -> None:
        self.declare_all("shop", queues=[QUEUE])
        self.keeper.bind(BindingSpec(source="shop", destination=QUEUE))
        self.keeper.put([(QUEUE, message("a"))])
        assert self.counts().ready == 1
