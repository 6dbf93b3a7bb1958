"""The promise about consumers that are killed: what they had in hand comes back within the lease, and is counted."""

from __future__ import annotations

from uuid import uuid4

from kombu import Message, Queue
from kombu.testing.transports.victim import hold_and_be_killed
from tests.resilience.case import ResilienceCase


class Kills(ResilienceCase):
    def test_what_a_killed_process_had_in_hand_is_back_within_its_lease_and_counted(self) -> None:
        queue, (body,) = self.queue(), self.some()
        seen: list[dict[str, object]] = []
        self.publish(queue, body)
        self.let_one_be_killed(queue)
        with self.consuming(self.direct, queue, lambda message: seen.append(dict(message.delivery_info))):
            self.delivered(body)
            self.eventually(lambda: seen)
        assert len(seen) == 1
        assert seen[0]["redelivered"]
        assert not self.counts or seen[0]["delivery_count"] == 2
        self.check()

    def let_one_be_killed(self, queue: str) -> None:
        """A process that has a message of this queue in hand."""
        hold_and_be_killed(self.victim_url, queue, self.options, self.patience, self.victim_setup)


class QuorumKills(Kills):
    """For RabbitMQ, whose quorum queues count what its classic ones do not."""

    def test_what_killed_processes_had_in_hand_of_a_quorum_queue_is_counted(self) -> None:
        name, (body,) = f"quorum.{uuid4().hex}", self.some()
        queue = Queue(name, queue_arguments={"x-queue-type": "quorum"})
        queue(self.connection()).declare()
        self._queues.append(name)
        self.publish(name, body)
        for _ in range(2):
            self.let_one_be_killed(name)
        taken: list[Message] = []
        self.eventually(lambda: taken.extend(filter(None, [queue(self.connection()).get()])) or taken)
        assert taken[0].payload == body
        assert taken[0].delivery_info["redelivered"]
        assert taken[0].delivery_info["delivery_count"] == 3
        taken[0].ack()
        self.becomes_empty(name)
