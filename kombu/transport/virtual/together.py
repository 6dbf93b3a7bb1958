"""Group commit: of threads that publish at the same time, one publishes for all who are in line by then.

Each returns only when its own messages are stored, and hears only of its own refusal. Who has been published for goes
on at once: the turn is handed to one who still waits, and nobody else is woken for it.

The threads may have connections of their own, if those lead to the same place: :data:`LINES`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from kombu.exceptions import KombuError, OperationalError, PublishUncertain
from kombu.transport.base import Publication
from kombu.transport.virtual.deadline import Deadline
from kombu.transport.virtual.places import Places

_ROUNDS = 4
"""Batches that one thread publishes in a row, if it has time: to wake another one takes about as long as a batch."""

_PATIENCE = 1.0
"""Seconds after which one publishes beside the others, whose turn may last as long as a lock or a server that hangs."""

_Publish = Callable[[Sequence[Publication]], None]


class _Waiting:
    """What a thread wants to publish within ``timeout`` seconds while another one is at it. ``gate`` opens when that is
    done, or when it is this thread's turn (``leads``)."""

    __slots__ = ("error", "gate", "leads", "publications", "publish", "timeout")

    def __init__(self, publish: _Publish, publications: Sequence[Publication], timeout: float | None) -> None:
        self.publish = publish
        self.publications = publications
        self.timeout = timeout
        self.gate = threading.Lock()
        self.gate.acquire()
        self.leads = False
        self.error: BaseException | None = None


class Together:
    """A line of threads, and whose turn it is."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._line = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    def publish(self, publish: _Publish, publications: Sequence[Publication], timeout: float | None = None) -> None:
        """``publish`` stores a batch as a whole or raises; another thread's may store these, too.

        Raises what publishing these raises, and ``TimeoutError`` when the others' turn lasts longer than ``timeout``
        seconds: nothing is stored then, or nobody knows, which it says.
        """
        if self._turn.acquire(blocking=False):
            try:
                if timeout is None:  # as usual, and without the three steps that a with block takes
                    publish(publications)
                else:
                    with Deadline(timeout):
                        publish(publications)
            finally:
                self._turn.release()
                if self._waiting and self._turn.acquire(blocking=False):
                    self._hand_over()
        else:
            self._publish_with_others(_Waiting(publish, publications, timeout))

    def _publish_with_others(self, mine: _Waiting) -> None:
        self._waiting.append(mine)
        limit = inf if mine.timeout is None else mine.timeout
        if self._turn.acquire(blocking=False):
            self._lead(mine)  # who had the turn may not have seen that somebody waits
        elif not mine.gate.acquire(timeout=min(limit, _PATIENCE)):
            self._wait_no_more(mine, limit - _PATIENCE)
        elif mine.leads:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error

    def _lead(self, mine: _Waiting) -> None:
        """Publish for all who are in line, oneself among them: as long as the one of them who has most time has. And
        for those who have lined up meanwhile."""
        try:
            for _ in range(_ROUNDS if mine.timeout is None else 1):
                if not self._publish_line(mine.publish):
                    break
        finally:
            self._hand_over()

    def _publish_line(self, publish: _Publish) -> bool:
        """For all who are in line now; False if nobody is."""
        with self._line:
            group = list(self._waiting)
            self._waiting.clear()
        try:
            if group:
                with Deadline(_longest([each.timeout for each in group])):
                    self._publish_all(publish, group)
        finally:
            for each in group:
                each.gate.release()
        return bool(group)

    def _hand_over(self) -> None:
        """Give the turn, which this thread has, to the first in line; or nobody has it."""
        while True:
            with self._line:
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].gate.release()
                    return
            self._turn.release()
            if not self._waiting or not self._turn.acquire(blocking=False):
                return

    def _wait_no_more(self, mine: _Waiting, left: float) -> None:
        """Leave the line, and publish oneself in the seconds that are ``left``; or wait on for who does it already."""
        with self._line:
            taken = mine not in self._waiting
            if not taken:
                self._waiting.remove(mine)
        if taken:
            if not mine.gate.acquire(timeout=-1 if left == inf else max(left, 0)):
                raise TimeoutError(
                    f"no answer within {mine.timeout} seconds: the messages may have been stored, or not"
                )
            return
        if mine.leads:
            self._hand_over()
        if left <= 0:
            raise TimeoutError(f"not published within {mine.timeout} seconds: other threads were publishing")
        with Deadline(None if left == inf else left):
            mine.publish(mine.publications)

    def _publish_all(self, publish: _Publish, group: Sequence[_Waiting]) -> None:
        try:
            publish([publication for each in group for publication in each.publications])
        except (OperationalError, PublishUncertain) as error:
            for each in group:
                each.error = _copy(error)
        except KombuError:
            for each in group:
                each.error = self._refusal(each)
        except BaseException as error:
            for each in group:
                each.error = OperationalError(f"the thread that published for this one failed: {error!r}")
            raise

    def _refusal(self, each: _Waiting) -> Exception | None:
        """Nothing was stored, because of one of them: publish each one's own alone, and say what is wrong with that."""
        try:
            each.publish(each.publications)
        except KombuError as error:
            return error
        return None


LINES = Places(Together)
"""That of all connections to a place."""


def _longest(timeouts: Sequence[float | None]) -> float | None:
    given = [timeout for timeout in timeouts if timeout is not None]
    return max(given) if len(given) == len(timeouts) else None


def _copy(error: KombuError) -> KombuError:
    """Of one error for several threads: each raises its own."""
    copied = type(error)(*error.args)
    copied.__cause__ = error
    return copied
