"""boto3 alone: a request for each message, or for ten, which is as many as the service takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
from systems.place import HOST
from systems.system import Body, Claiming

TEN = 10
LEASE = 60


class RawSQS(Claiming):
    """A queue whose name begins as all of the place."""

    def make(self) -> None:
        self._connect()
        self.client.create_queue(QueueName=self._name, Attributes={"VisibilityTimeout": str(LEASE)})
        self.close()

    def open(self) -> None:
        self._connect()
        self.url = self.client.get_queue_url(QueueName=self._name)["QueueUrl"]

    def close(self) -> None:
        self.client.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.client.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        for part in _tens(bodies):
            entries = [{"Id": str(at), "MessageBody": json.dumps(body)} for at, body in enumerate(part)]
            _check(self.client.send_message_batch(QueueUrl=self.url, Entries=entries))

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        answer = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=min(limit, TEN))
        found = answer.get("Messages", [])
        return [each["ReceiptHandle"] for each in found], [json.loads(each["Body"]) for each in found]

    def delete(self, ids: list[Any]) -> None:
        for part in _tens(ids):
            entries = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(part)]
            _check(self.client.delete_message_batch(QueueUrl=self.url, Entries=entries))

    @property
    def _name(self) -> str:
        return f"{self.place.name}-queue"

    def _connect(self) -> None:
        self.client = boto3.client(
            "sqs",
            endpoint_url=f"http://{HOST}:{self.place.port}",
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )


def _tens(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[at : at + TEN] for at in range(0, len(items), TEN))


def _check(answer: dict[str, Any]) -> None:
    if answer.get("Failed"):
        raise SystemExit(f"refused: {answer['Failed'][0]}")
