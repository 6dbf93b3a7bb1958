"""The store on beanstalkd keeps every promise of a store that its protocol can keep."""

from __future__ import annotations

from uuid import uuid4

import pytest

from kombu.testing import StoreConformance, TopologyConformance
from kombu.transport.beanstalk import BeanstalkStore
from tests import servers
from tests.beanstalk import clear


@pytest.mark.server("beanstalkd")
class TestBeanstalkStore(StoreConformance, TopologyConformance):
    def setup_method(self) -> None:
        super().setup_method()
        self.name = uuid4().hex

    def teardown_method(self) -> None:
        super().teardown_method()
        clear(self.name)

    def open_store(self) -> BeanstalkStore:
        store = BeanstalkStore(servers.HOST, servers.BEANSTALKD_PORT, self.name)
        store.open()
        return store

    def test_a_message_that_was_delayed_stands_behind_those_that_were_ready_before(self) -> None:
        """Not here: the server orders what is ready by priority and number, whenever it became ready."""

    def test_a_lease_that_ran_out_brings_the_message_back_with_a_new_token(self) -> None:
        """A longer lease than elsewhere: the server tells a message's age in whole seconds."""
        self.brief = 1.0
        super().test_a_lease_that_ran_out_brings_the_message_back_with_a_new_token()
