"""The promise about consumers that are killed: what they had in hand comes back within the lease, and is counted."""

from __future__ import annotations

from kombu.testing.transports.victim import hold_and_be_killed
from tests.resilience.case import ResilienceCase


class Kills(ResilienceCase):
    def test_what_a_killed_process_had_in_hand_is_back_within_its_lease_and_counted(self) -> None:
        queue, (body,) = self.queue(), self.some()
        seen: list[dict[str, object]] = []
        self.publish(queue, body)
        hold_and_be_killed(self.victim_url, queue, self.options, self.patience, self.victim_setup)
        with self.consuming(self.direct, queue, lambda message: seen.append(dict(message.delivery_info))):
            self.delivered(body)
            self.eventually(lambda: seen)
        assert len(seen) == 1
        assert seen[0]["redelivered"]
        assert not self.counts or seen[0]["delivery_count"] == 2
        self.check()
