"""Receiving: what is there at once, and long polls that wait for what is not, a few at a time.

A busy queue is asked directly, ten messages a request. A queue that had nothing is polled by a thread, for a second at
first and for longer each time it stays silent, up to 20 seconds (``wait_time_seconds``): an idle queue costs three
requests a minute. Where there are more silent queues than ``max_polls`` they take turns, each for a shorter time. A
poll begins only while somebody waits, and what it brings is theirs; what nobody fetches goes back.

A request that does not wait asks some of AWS's servers only, and may bring nothing from a queue that is not empty; a
long poll asks all of them. A consumer asks again anyway. Where the answer that a queue is empty ends something, one
long poll confirms it: :func:`thorough`.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from kombu.exceptions import KombuError
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.errors import QueueMissing
from kombu.transport.sqs.limits import BATCH, whole
from kombu.transport.sqs.queues import Queues
from kombu.transport.sqs.wire import Incoming, decoded

_ATTRIBUTES = ["SentTimestamp", "ApproximateReceiveCount", "MessageGroupId"]
_TENDED = 3.0
"""Seconds after which a queue that nobody waited for is asked directly again."""

_FETCHED = 2.0
"""Seconds in which who waits fetches what a poll has brought."""

_LATENCY = 0.25
"""Seconds that the answer to a long poll may have been on its way: AWS's visibility timeout began before it came."""

_MISSING = 1.0
"""Seconds until a queue that does not exist is looked for again."""

_CONFIRMED = 1
"""Seconds of the long poll that confirms that a queue is empty: the shortest there is."""

_thorough: ContextVar[bool] = ContextVar("kombu_sqs_thorough", default=False)


@contextmanager
def thorough() -> Iterator[None]:
    """Within, :meth:`Receiver.take` brings nothing only where none of AWS's servers has anything."""
    token = _thorough.set(True)
    try:
        yield
    finally:
        _thorough.reset(token)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message, and until when it is ours: seconds of this machine's monotonic clock. ``since``: when AWS gave it out,
    or a little earlier."""

    queue: str
    message: Incoming
    since: float
    until: float


@dataclass(slots=True)
class _Line:
    """A queue as far as it is polled here. ``hot``: the last request found all it asked for, so there may be more."""

    queue: str
    waiting: deque[Taken] = field(default_factory=deque)
    hot: bool = True
    polled: bool = False
    silent: int = 0
    tended: float = float("-inf")
    not_before: float = 0.0
    limit: int = BATCH
    lease: float = 60.0

    def may_be_asked(self, now: float) -> bool:
        return not self.polled and (self.hot or now - self.tended > _TENDED)


class Receiver:
    """For one store. ``give_back`` makes messages visible again; ``missing`` is told of a queue that AWS does not know,
    and raises where it should."""

    def __init__(
        self,
        calls: Calls,
        queues: Queues,
        give_back: Callable[[Sequence[Taken]], object],
        missing: Callable[[str], object],
    ) -> None:
        self._calls = calls
        self._queues = queues
        self._give_back = give_back
        self._missing = missing
        self._longest = calls.settings.wait_time_seconds
        self._most_polls = calls.settings.max_polls
        self._lines: dict[str, _Line] = {}
        self._changed = threading.Condition()
        self._polls = 0
        self._failed: KombuError | None = None
        self._woken = False
        self._closed = False

    def take(self, queue: str, limit: int, lease: float) -> list[Taken]:
        """Up to ``limit`` of what is there now, or was brought by a poll."""
        with self._changed:
            self._raise_failure()
            line = self._line(queue)
            line.limit, line.lease = min(limit, BATCH), lease
            taken = self._fetch(line, limit)
            ask = line.may_be_asked(time.monotonic()) or (_thorough.get() and not taken)
        while ask and len(taken) < limit:
            asked = min(limit - len(taken), BATCH)
            try:
                found = self.ask(queue, asked, lease, sure=_thorough.get() and not taken)
            except KombuError:
                if not taken:
                    raise
                break  # what was received is not to be lost for that; the next call will meet it again
            taken += found
            line.hot = ask = len(found) == asked
        if not taken and _thorough.get():
            with self._changed:  # a consumer's poll may have been quicker
                taken = self._fetch(line, limit)
        return taken

    def ask(self, queue: str, limit: int, lease: float, sure: bool = False) -> list[Taken]:
        """One request, without waiting; nothing for a queue that does not exist. ``sure``: that there is nothing is
        confirmed."""
        try:
            found = self._receive(queue, limit, lease, 0)
            return self._receive(queue, limit, lease, _CONFIRMED) if sure and not found else found
        except QueueMissing:
            self._missing(queue)
            return []

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        """Until there is something for :meth:`take`, or the time is over."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._woken and not self._closed:
                self._raise_failure()
                now = time.monotonic()
                lines = [self._line(queue) for queue in queues]
                for line in lines:
                    line.tended = now
                if any(line.waiting or (line.hot and not line.polled) for line in lines):
                    return
                self._poll(lines, now)
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(min(left, _MISSING))
            self._woken = False

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def heat(self, queue: str) -> None:
        """Something was put into it here: it is asked directly when it is asked next."""
        line = self._lines.get(queue)
        if line is not None:
            line.hot = True

    def forget(self, queue: str) -> None:
        """It was deleted here."""
        with self._changed:
            self._lines.pop(queue, None)

    def close(self) -> None:
        """Give back what nobody fetched. Polls end by themselves, and give back what they bring."""
        with self._changed:
            self._closed = True
            left = [taken for line in self._lines.values() for taken in line.waiting]
            for line in self._lines.values():
                line.waiting.clear()
            self._changed.notify_all()
        if left:
            self._give_back(left)

    @property
    def polling(self) -> bool:
        """Whether a poll has not ended yet; after :meth:`close` the last one calls ``Calls.close``."""
        with self._changed:
            return self._polls > 0

    def _line(self, queue: str) -> _Line:
        return self._lines.setdefault(queue, _Line(queue))

    def _fetch(self, line: _Line, limit: int) -> list[Taken]:
        """What a poll has brought, as far as it is still ours."""
        taken: list[Taken] = []
        now = time.monotonic()
        while line.waiting and len(taken) < limit:
            each = line.waiting.popleft()
            if each.until > now:
                taken.append(each)
        if taken:
            self._changed.notify_all()
        return taken

    def _poll(self, lines: Sequence[_Line], now: float) -> None:
        """Begin polls for those of the queues that have waited longest for one."""
        free = self._most_polls - self._polls
        silent = [line for line in lines if not line.polled and line.not_before <= now]
        silent.sort(key=lambda line: line.not_before)
        for line in silent[: max(free, 0)]:
            seconds = poll_seconds(line.silent, len(lines), self._most_polls, self._longest)
            line.polled = True
            self._polls += 1
            threading.Thread(target=self._run, args=(line, seconds), name="kombu-sqs-poll", daemon=True).start()

    def _run(self, line: _Line, seconds: int) -> None:
        """One poll: a thread of its own, which ends with it."""
        found: list[Taken] = []
        failed: KombuError | None = None
        limit = line.limit
        try:
            found = self._receive(line.queue, limit, line.lease, seconds)
        except QueueMissing:
            line.not_before = time.monotonic() + _MISSING
            failed = self._is_missed(line.queue)
        except KombuError as exc:
            failed = exc
        else:
            line.not_before = time.monotonic() if not found else 0.0
        line.silent = 0 if found else line.silent + 1
        line.hot = len(found) == limit
        self._hand_over(line, found, failed)

    def _is_missed(self, queue: str) -> KombuError | None:
        try:
            self._missing(queue)
        except KombuError as exc:
            return exc
        return None

    def _hand_over(self, line: _Line, found: list[Taken], failed: KombuError | None) -> None:
        with self._changed:
            line.polled = False
            line.waiting.extend(found)
            self._failed = self._failed or failed
            self._changed.notify_all()
            if found:
                patience = min(_FETCHED, line.lease * 0.8)
                self._changed.wait_for(lambda: self._closed or not line.waiting, patience)
            left = list(line.waiting)
            line.waiting.clear()
        try:
            if left:
                self._give_back(left)
        except KombuError as exc:
            with self._changed:
                self._failed = self._failed or exc
        finally:
            self._end_poll()

    def _end_poll(self) -> None:
        with self._changed:
            self._polls -= 1
            last = self._closed and not self._polls
            self._changed.notify_all()
        if last:
            self._calls.close()

    def _receive(self, queue: str, limit: int, lease: float, wait: int) -> list[Taken]:
        visible, asked = whole(lease), time.monotonic()
        ask = self._calls.poll if wait else self._calls.receive
        answer = ask(
            QueueUrl=self._queues.url(queue),
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait,
            VisibilityTimeout=visible,
            AttributeNames=_ATTRIBUTES,
            MessageAttributeNames=["All"],
        )
        since = max(asked, time.monotonic() - _LATENCY) if wait else asked
        messages = [decoded(queue, each) for each in answer.get("Messages", ())]
        self._calls.count_received(sum(message.size for message in messages))
        return [Taken(queue, message, since, since + visible) for message in messages]

    def _raise_failure(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed


def poll_seconds(silent: int, queues: int, polls: int, longest: int) -> int:
    """How long to wait for a queue that had nothing ``silent`` times. With more queues than polls at a time the turns
    are as short as it takes that each has one in ``longest`` seconds, but not under a second."""
    seconds = min(1 << min(silent, 6), longest)
    return max(min(seconds, longest * polls // max(queues, 1)), 1)
