"""SQS and SNS for tests: URLs with a prefix of the test's own, a client beside ours, and cleaning up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import uuid4

from kombu.transport.base import Address
from tests import servers

if TYPE_CHECKING:
    from kombu.transport.sqs import Settings, SQSStore
    from kombu.transport.sqs.calls import Calls
    from kombu.transport.sqs.limits import Limits


class Region:
    """The queues and topics of one test: all whose names begin with ``prefix``."""

    def __init__(self, port: int = servers.SQS_PORT, prefix: str | None = None) -> None:
        self.prefix = prefix or f"t{uuid4().hex[:12]}-"
        self.port = port
        self._calls: Calls | None = None

    @property
    def options(self) -> dict[str, object]:
        """Small times, so that nothing waits for long."""
        return {"queue_name_prefix": self.prefix, "topology_check": 0, "wait_time_seconds": 1, "filter_delay": 0}

    def url(self, **options: object) -> str:
        query = urlencode({**self.options, **options})
        return f"sqs+http://key:secret@{servers.HOST}:{self.port}/?{query}"

    def settings(self, **options: object) -> Settings:
        from kombu.transport.sqs.options import read_settings

        address = Address(hostname=f"http://key:secret@{servers.HOST}:{self.port}", options={**self.options, **options})
        return read_settings(address)[0]

    def store(self, limits: Limits | None = None, **options: object) -> SQSStore:
        """Opened; the limits are AWS's unless a test cannot wait that long."""
        from kombu.transport.sqs import SQSStore
        from kombu.transport.sqs.limits import AWS

        store = SQSStore(self.settings(**options), limits or AWS)
        store.open()
        return store

    @property
    def calls(self) -> Calls:
        """To ask AWS what no store tells."""
        from kombu.transport.sqs.calls import Calls

        if self._calls is None:
            self._calls = Calls(self.settings())
            self._calls.open()
        return self._calls

    def queue_urls(self) -> list[str]:
        return list(self.calls.sqs("list_queues", QueueNamePrefix=self.prefix).get("QueueUrls", []))

    def topics(self) -> list[str]:
        """Their ARNs."""
        found = self.calls.sns("list_topics").get("Topics", [])
        return [each["TopicArn"] for each in found if each["TopicArn"].rpartition(":")[2].startswith(self.prefix)]

    def attributes(self, url: str) -> dict[str, Any]:
        return dict(self.calls.sqs("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"])

    def clean_up(self, topics: bool = False) -> None:
        for url in self.queue_urls():
            self.calls.sqs("delete_queue", QueueUrl=url)
        for arn in self.topics() if topics else ():
            self.calls.sns("delete_topic", TopicArn=arn)
        self.calls.close()
        self._calls = None
