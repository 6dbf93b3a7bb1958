"""Queues in MongoDB come back after restarts, broken connections, and kills."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import pytest

from kombu.testing.case import message, numbered
from kombu.transport.virtual.store import QueueSpec
from tests import mongodb, servers
from tests.proxy import Moment, Proxy
from tests.resilience import Resilience


@pytest.mark.server("mongodb")
class TestMongoDB(Resilience):
    """What is sent again has the number of the first, as the test below tells: by that MongoDB knows it, and stores it
    once. The tests' server compares the driver's time limit, too, which is shorter by then, and does not wait for the
    end of the first: it carries out both, so that a message which was consumed in between is there again."""

    server = "mongodb"
    doubles = True
    silence = 2.0

    @property
    def options(self) -> Mapping[str, object]:
        return {**super().options, "timeout": self.silence}

    @classmethod
    def setup_class(cls) -> None:
        with mongodb.program():
            super().setup_class()

    def url(self, port: int) -> str:
        return mongodb.url("kombu", port)


@pytest.mark.server("mongodb")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("words", [b"\x02update\0", b"\x10committransaction\0"], ids=["update", "commit"])
def test_what_is_sent_again_has_the_number_of_the_first(moment: Moment, words: bytes) -> None:
    requests = mongodb.new_requests()
    with (
        mongodb.database() as database,
        Proxy(servers.MONGODB_PORT) as proxy,
        closing(mongodb.new_store(database, proxy.port, event_listeners=[requests])) as store,
    ):
        store.open()
        store.declare(QueueSpec(name="orders"))
        requests.clear()
        proxy.cut_at(words, moment)
        store.put([("orders", message(text)) for text in numbered(2 if b"transaction" in words else 1)])
        assert proxy.struck.is_set()
        sent = [each for each in requests.commands if words[1:-1].decode() in map(str.lower, each)]
        assert len(sent) == 2
        assert [sent[0][name] for name in ("lsid", "txnNumber")] == [sent[1][name] for name in ("lsid", "txnNumber")]
        assert sent[0].get("updates") == sent[1].get("updates")
