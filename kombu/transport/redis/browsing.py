"""Looking at messages, choosing some, keeping queues to their limits and pausing them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from kombu.transport.redis import scripts
from kombu.transport.redis.records import deliveries, id_text, micro
from kombu.transport.redis.users import RedisUsers
from kombu.transport.virtual.store import Delivery, MessageId

_NOBODYS = 0
"""The token of a delivery that was only looked at: no claim has it."""


class RedisBrowser(RedisUsers):
    """``Browsable``, ``Bounded`` and ``Pausable`` of :mod:`kombu.transport.virtual.store`."""

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        arguments = [b"%d" % limit, b"" if after is None else id_text(after)]
        return deliveries(self._again(scripts.BROWSE, [self._keys.queue(queue)], arguments), [queue], _NOBODYS)

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        token = random.getrandbits(63)
        arguments = [b"%d" % token, micro(lease), *map(id_text, ids)]
        return deliveries(self._link.run(scripts.CHOOSE, [self._keys.queue(queue)], arguments), [queue], token)

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        token, found = random.getrandbits(63), list[Delivery]()
        for names in self._groups(queues):
            answer = self._link.run(scripts.SURPLUS, self._bases(names), [b"%d" % token, micro(lease)])
            found += deliveries(answer, names, token)
        return found

    def pause(self, queue: str, paused: bool = True) -> bool:
        base, among = self._keys.queue(queue), self._keys.topology + b":paused"
        there = bool(self._again(scripts.PAUSE, [base], [b"1" if paused else b"0"]))
        if there:
            self._retried(lambda: self._link.ask(b"SADD" if paused else b"SREM", among, base))
        return there

    def paused(self) -> list[str]:
        among = self._keys.topology + b":paused"
        return sorted(map(self._keys.name, self._retried(lambda: self._link.ask(b"SMEMBERS", among))))
