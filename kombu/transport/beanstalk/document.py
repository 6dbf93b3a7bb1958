"""The topology in a tube of its own: one job holds the document, and what is put on top of it replaces it.

Nobody ever reserves these jobs. Each has a generation, and the higher that is the more urgent is the job, so that
``peek-ready`` answers the newest. Whoever changes the document puts a job of the next generation. Where two do that at
once both jobs have the same priority, and of those the server answers the one it got first, which has the lower
number: that one has won, from the moment it was put, and the loser takes his away again. The winner removes the
document that he has read, before his change counts as done; so a program knows that what it read is still current as
long as that very job exists, which is a short question.

Whoever dies on the way leaves no lock behind: at most a job that lost, which is under a newer one for good, or the
predecessor of the newest, which whoever reads that removes.
"""

from __future__ import annotations

import json
import zlib
from typing import NamedTuple

from kombu.exceptions import InconsistencyError, OperationalError
from kombu.transport.beanstalk.names import TOPOLOGY
from kombu.transport.beanstalk.wire import Line, refused

_MOST_GENERATIONS = (1 << 32) - 1
_REMEMBERED = 30
_FOREVER = 1 << 31
"""Seconds to run, which nobody uses: it is never reserved."""


class Revision(NamedTuple):
    """Which document it is; ``id`` 0 for none. ``ancestors`` are the jobs before it, the latest first."""

    id: int = 0
    generation: int = 0
    ancestors: tuple[int, ...] = ()


class TubeDocument:
    """The document of one virtual host, on a connection that the caller does not use meanwhile."""

    def __init__(self, line: Line, prefix: str, largest: int) -> None:
        self._line = line
        self._tube = (prefix + TOPOLOGY).encode("ascii")
        self._largest = largest
        self._cleared = 0

    def read(self) -> tuple[str, Revision]:
        """The newest."""
        text, revision = self._newest()
        if revision.ancestors and revision.id != self._cleared:
            self._remove(revision.ancestors[0])
            self._cleared = revision.id
        return text, revision

    def is_newest(self, revision: Revision) -> bool:
        """Whether nothing has replaced it for good."""
        if not revision.id:
            return not self._newest()[1].id
        [reply] = self._line.ask([b"stats-job %d\r\n" % revision.id])
        return reply.status == b"OK"

    def replace(self, text: str, revision: Revision) -> bool:
        """Put it in the place of that revision; False where another came first."""
        generation = revision.generation + 1
        if generation > _MOST_GENERATIONS:
            raise OperationalError(
                f"{self._line.name}: its tube {self._tube!r} has no generation left: delete its jobs"
            )
        ancestors = (revision.id, *revision.ancestors)[:_REMEMBERED] if revision.id else ()
        id = self._put(_written(text, generation, ancestors), _MOST_GENERATIONS - generation)
        _, newest = self._newest()
        if id != newest.id and id not in newest.ancestors:
            self._remove(id)
            return False
        if ancestors:
            self._remove(ancestors[0])
        return True

    def _newest(self) -> tuple[str, Revision]:
        _, reply = self._line.ask([b"use %b\r\n" % self._tube, b"peek-ready\r\n"])
        if reply.status == b"NOT_FOUND":
            return "", Revision()
        if reply.status != b"FOUND":
            raise refused(self._line.name, reply, "reading exchanges, queues and bindings")
        return self._read(int(reply.values[0]), reply.body)

    def _read(self, id: int, data: bytes) -> tuple[str, Revision]:
        head, _, packed = data.partition(b"\n")
        try:
            found = json.loads(head)
            revision = Revision(id, int(found["generation"]), tuple(map(int, found["ancestors"])))
            return zlib.decompress(packed).decode(), revision
        except (ValueError, KeyError, TypeError, zlib.error) as exc:
            raise InconsistencyError(
                f"{self._line.name}: job {id} of tube {self._tube.decode()} is no document of exchanges, queues and"
                " bindings: delete it, and declare everything again"
            ) from exc

    def _put(self, data: bytes, priority: int) -> int:
        if len(data) > self._largest:
            raise OperationalError(
                f"{self._line.name}: exchanges, queues and bindings need {len(data)} bytes, and the server takes"
                f" {self._largest} at most: start it with a larger -z, or declare less"
            )
        put = b"put %d 0 %d %d\r\n%b\r\n" % (priority, _FOREVER, len(data), data)
        _, reply = self._line.ask([b"use %b\r\n" % self._tube, put])
        if reply.status != b"INSERTED":
            raise refused(self._line.name, reply, "keeping exchanges, queues and bindings")
        return int(reply.values[0])

    def _remove(self, id: int) -> None:
        """Unless somebody else has."""
        self._line.ask([b"delete %d\r\n" % id])


def _written(text: str, generation: int, ancestors: tuple[int, ...]) -> bytes:
    head = json.dumps({"kombu": "topology", "generation": generation, "ancestors": ancestors})
    return b"%b\n%b" % (head.encode(), zlib.compress(text.encode()))
