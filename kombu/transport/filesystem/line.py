"""One queue of a spool while its lock is held: what becomes of its messages, each by renaming a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from kombu.transport.filesystem.contents import stored_at
from kombu.transport.filesystem.folders import Folders, in_folder, make_folder, move, prune
from kombu.transport.filesystem.names import NEVER, Name, first_place, message_id
from kombu.transport.filesystem.state import FRESH, State, read_state, write_state
from kombu.transport.virtual.store import Counts, Envelope, Lease, MessageId, QueueSpec

Found = tuple[str, Name]
"""A message's file and its name taken apart."""


class Line:
    """``file`` is the queue's open lock; ``now`` is in microseconds since 1970."""

    def __init__(self, folders: Folders, file: int, now: int, sync: bool) -> None:
        self.folders = folders
        self.now = now
        self.sync = sync
        self._file = file
        known = read_state(file)
        self._state = known or self._found_out()
        self._saved = None if known is None else replace(known)

    def save(self) -> None:
        """Write the state, if it is another by now."""
        if self._state != self._saved:
            write_state(self._file, self._state)
            self._saved = replace(self._state)

    def reserve(self, envelopes: Sequence[Envelope], salt: int) -> list[Name]:
        """Names for new messages, which nobody else gets; the state says already that they are there."""
        names = []
        for envelope in envelopes:
            place = self._state.place
            self._state.place += 1
            names.append(
                Name(
                    id=message_id(place, envelope.priority, salt),
                    place=place,
                    at=self.now + micro(envelope.delay) if envelope.delay else 0,
                    size=len(envelope.body),
                    expires=NEVER if envelope.ttl is None else min(self.now + micro(envelope.ttl), NEVER),
                )
            )
            self._expect(names[-1])
        self.save()
        return names

    def add(self, file: str, name: Name) -> str:
        """A new message, written to ``file`` before; answers the folder that it is in now."""
        if name.expires != NEVER:
            _touch(self.folders.mortal(name))
        folder = self.folders.of(name)
        move(file, folder, name, self.sync)
        self._state.changes += 1  # not before: who began to wait in between would have seen the change, and no message
        return folder

    def found(self, folder: str) -> None:
        """Take in the messages in this folder: a publisher had committed to them, and died."""
        for file, name in in_folder(folder):
            self._state.place = max(self._state.place, name.place + 1)
            self._expect(name)
            self.save()
            self.add(file, name)

    def refresh(self) -> None:
        """What is due, or was leased for too long, is ready."""
        if self._state.due <= self.now:
            self._promote()
        if self._state.lapse <= self.now:
            self._lapse()

    def claim(self, limit: int, until: int, token: int) -> list[Found]:
        """Lease up to so many, in order."""
        self.refresh()
        return self.lease(islice(self.folders.ready(self._state.place), max(limit, 0)), until, token)

    def lease(self, chosen: Iterator[Found] | Sequence[Found], until: int, token: int) -> list[Found]:
        """Lease these, which are nobody's."""
        self._state.lapse = min(self._state.lapse, until)
        self.save()
        taken: list[Found] = []
        for file, name in chosen:
            mark = f"{token:x}-{name.place:x}"
            leased = replace(name, at=until, count=name.count + 1, token=mark)
            taken.append((move(file, self.folders.leased, leased), leased))
            if name.expires != NEVER:  # a sweep that finds it leased has to come again
                self._state.expiry = min(self._state.expiry, max(until, name.expires))
            self._prune_after(file, name)
        return taken

    def locate(self, lease: Lease, known: Name | None) -> Found | None:
        """The message, as long as the lease is its latest claim's; ``known`` is what it was called last."""
        if known is not None and os.path.exists(file := f"{self.folders.leased}/{known}"):
            return file, known
        _, _, place = str(lease.token).partition("-")
        id = str(lease.id)
        for folder in (self.folders.leased, self._bucket_of(id, place)):
            for file, name in in_folder(folder) if folder else ():
                if name.id == id and name.token == lease.token:
                    return file, name
        return None

    def extend(self, found: Found, until: int) -> Found:
        file, name = found
        self._state.lapse = min(self._state.lapse, until)
        self.save()
        extended = replace(name, at=until)
        return move(file, self.folders.leased, extended), extended

    def remove(self, found: Found) -> None:
        file, name = found
        os.unlink(file)
        if name.expires != NEVER:
            with suppress(FileNotFoundError):
                os.unlink(self.folders.mortal(name))

    def release(self, found: Found, delay: float, counted: bool) -> None:
        """Back to its old place, or to a new one when the delay is over."""
        file, name = found
        free = name.free(counted=counted)
        if delay:
            free = replace(free, at=self.now + micro(delay))
        self._expect(free)
        self.save()
        move(file, self.folders.of(free), free)
        self._state.changes += 1

    def expired(self, limit: int) -> list[Found]:
        """Up to so many whose time to live is over, and which nobody holds."""
        if self._state.expiry > self.now:
            return []
        self.refresh()
        held = {name.id: name.at for _, name in self.folders.held()}
        found: list[Found] = []
        self._state.expiry = NEVER
        for entry, at, id in self.folders.expired(self.now):
            if at > self.now or len(found) >= limit:
                self._state.expiry = min(self._state.expiry, at)
                break
            if id in held:
                self._state.expiry = min(self._state.expiry, held[id])
            elif (message := self._free_one(id)) is not None:
                found.append(message)
            else:
                os.unlink(entry)
        return found

    def counts(self) -> Counts:
        self.refresh()
        ready, oldest = 0, None
        for file, name in self.folders.ready():
            ready += 1
            if oldest is None or name.id < oldest[1].id:
                oldest = file, name
        age = None if oldest is None else max(self.now - (stored_at(oldest[0]) or self.now), 0) / 1e6
        delayed, leased = (sum(1 for _ in each) for each in (self.folders.later(), self.folders.held()))
        return Counts(ready=ready, delayed=delayed, leased=leased, oldest=age)

    def purge(self) -> int:
        """Remove what nobody holds."""
        self.refresh()
        free = [*self.folders.ready(), *self.folders.later()]
        for each in free:
            self.remove(each)
            self._prune_after(*each)
        return len(free)

    def has_room(self, spec: QueueSpec, envelopes: Sequence[Envelope]) -> bool:
        """Whether so many more may be ready."""
        self.refresh()
        sizes = [name.size for _, name in self.folders.ready()]
        length, size = len(sizes) + len(envelopes), sum(sizes) + sum(len(each.body) for each in envelopes)
        return (spec.max_length is None or length <= spec.max_length) and (
            spec.max_bytes is None or size <= spec.max_bytes
        )

    def surplus(self, spec: QueueSpec) -> list[Found]:
        """Those at the head that are too many."""
        self.refresh()
        ready = list(self.folders.ready())
        over = 0 if spec.max_length is None else max(len(ready) - spec.max_length, 0)
        if spec.max_bytes is not None:
            excess = sum(name.size for _, name in ready) - spec.max_bytes
            for place, (_, name) in enumerate(ready, start=1):
                if excess <= 0:
                    break
                excess -= name.size
                over = max(over, place)
        return ready[:over]

    def browse(self, limit: int, after: MessageId | None) -> list[Found]:
        """In the order in which they were stored."""
        self.refresh()
        every = sorted(self.folders.everywhere(), key=lambda found: found[1].id)
        return [each for each in every if after is None or each[1].id > str(after)][:limit]

    def free(self, ids: Sequence[MessageId]) -> list[Found]:
        """Those with these ids that nobody holds."""
        self.refresh()
        wanted = set(map(str, ids))
        return [each for each in (*self.folders.ready(), *self.folders.later()) if each[1].id in wanted]

    def total(self) -> int:
        return sum(1 for _ in self.folders.everywhere())

    def stir(self) -> None:
        """Let those look again who wait."""
        self._state.changes += 1

    def set_aside(self, file: str, name: Name) -> str:
        """Out of the queue, for people to look at."""
        make_folder(self.folders.damaged)
        return move(file, self.folders.damaged, name)

    def _found_out(self) -> State:
        """The state, by all the files: after a power failure, or for a queue from another machine."""
        places = [name.place for _, name in self.folders.everywhere()]
        return replace(FRESH, place=max(places, default=-1) + 1, due=0, lapse=0, expiry=0)

    def _expect(self, name: Name) -> None:
        if name.at:
            self._state.due = min(self._state.due, name.at)
        self._state.expiry = min(self._state.expiry, name.expires)

    def _promote(self) -> None:
        due: list[Found] = []
        after = NEVER
        for found in self.folders.later():
            if found[1].at > self.now:
                after = found[1].at
                break
            due.append(found)
        self._move_up(due)
        self._state.due = after

    def _move_up(self, due: list[Found]) -> None:
        """Each to the end of the line; first of all nobody else gets its place."""
        place = self._state.place
        self._state.place += len(due)
        self.save()
        for number, (file, name) in enumerate(due):
            ready = replace(name, at=0, place=place + number)
            move(file, self.folders.of(ready), ready)
            prune(os.path.dirname(file), f"{self.folders.path}/later")
        self._state.changes += bool(due)

    def _lapse(self) -> None:
        """Their leases can still settle them until another claims them: they keep the token."""
        after = NEVER
        for file, name in self.folders.held():
            if name.at > self.now:
                after = name.at
                break
            free = replace(name, at=0)
            move(file, self.folders.of(free), free)
            self._state.changes += 1
            self._state.expiry = min(self._state.expiry, name.expires)
        self._state.lapse = after

    def _free_one(self, id: str) -> Found | None:
        """Most are still where they were stored."""
        near = in_folder(self.folders.bucket(*first_place(id)))
        everywhere = (found for each in (self.folders.ready, self.folders.later) for found in each())
        return next((found for each in (near, everywhere) for found in each if found[1].id == id), None)

    def _bucket_of(self, id: str, place: str) -> str | None:
        with suppress(ValueError):
            return self.folders.bucket(first_place(id)[0], int(place, 16))
        return None

    def _prune_after(self, file: str, name: Name) -> None:
        """Folders that may be empty now go, but for the one that the next message goes to."""
        folder = os.path.dirname(file)
        if folder != self.folders.bucket(name.priority, self._state.place):
            prune(folder, self.folders.path)


def micro(seconds: float) -> int:
    """In microseconds, for as long as they can be counted."""
    return min(round(seconds * 1e6), NEVER >> 1)


def _touch(path: str) -> None:
    for _ in range(2):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))
        except FileNotFoundError:
            make_folder(os.path.dirname(path))
        else:
            return
    raise FileNotFoundError(path)
