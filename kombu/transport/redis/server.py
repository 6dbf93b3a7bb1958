"""One Redis server and the connections to it, of which there are never more than a limit."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Sequence
from typing import Any

from redis import exceptions as driver

from kombu.exceptions import ConnectionError, ConnectionLimitExceeded, KombuError, OperationalError
from kombu.transport.redis.bell import Bell
from kombu.transport.redis.connecting import Connect, Connection
from kombu.transport.redis.errors import explained
from kombu.transport.virtual.deadline import seconds_to_wait

Command = Sequence[bytes]


class _Line:
    """A connection, and its number at the server."""

    __slots__ = ("_patience", "_poll", "connection", "id")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.id: bytes | None = None
        self._patience: float | None = None
        self._poll = select.poll()
        self._poll.register(connection._sock, select.POLLIN)

    def wait_for(self, seconds: float) -> None:
        """At most, for each part of an answer."""
        if seconds != self._patience:
            self._patience = seconds
            self.connection._sock.settimeout(seconds)

    def is_alive(self) -> bool:
        """Nothing is to be read from it: the server has said nothing, and has not closed it."""
        if not self._poll.poll(0):
            return True
        self._patience = None  # which the driver changes
        try:
            return not self.connection.can_read(0)  # a word of TLS's own is none of the server's
        except (driver.RedisError, OSError):
            return False


class Server:
    """``connect`` makes a connection, open already. ``where`` is for people. Any thread may ask; it waits at most
    ``patience`` seconds for an answer, and for a connection when ``limit`` are in use: less where its caller's deadline
    comes sooner."""

    def __init__(self, where: str, connect: Connect, limit: int, patience: float) -> None:
        self.where = where
        self.limit = limit
        self._connect = connect
        self._patience = patience
        self._idle: list[_Line] = []
        self._open = 0
        self._renew_lock()
        self._closed = False
        self._pid = os.getpid()

    def ask(self, *commands: Command) -> list[Any]:
        """Send these together; the answers, errors among them as :class:`redis.ResponseError`.

        Raises the errors of :mod:`kombu.exceptions` where there is no answer. What a connection to a server that is a
        replica by now answers is raised too: none of them is used again.
        """
        data = b"".join(map(packed, commands))
        line = self._take()
        sent = False
        try:
            connection = line.connection
            sent = True
            connection.send_packed_command([data])
            answers = [_answer(connection) for _ in commands]
        except BaseException as exc:
            self._drop(line)
            if isinstance(exc, driver.RedisError | OSError):
                raise explained(self.where, exc, sent=sent) from exc
            raise
        self._give(line)
        for answer in answers:
            if isinstance(answer, driver.ReadOnlyError):
                self.forget()
                raise explained(self.where, answer) from answer
        return answers

    def ask_one(self, *command: bytes) -> Any:
        """The answer to one command; raises what it refuses."""
        [answer] = self.ask(command)
        if isinstance(answer, driver.ResponseError):
            raise explained(self.where, answer) from answer
        return answer

    def block(self, command: Command, seconds: float, bell: Bell, grace: float) -> Any:
        """What a command that blocks for so many seconds answers; None when the bell rang before.

        The server has ``grace`` seconds more; then the connection counts as lost.
        """
        line = self._take()
        try:
            connection = line.connection
            if line.id is None:
                connection.send_packed_command([packed((b"CLIENT", b"ID"))])
                line.id = str(_answer(connection)).encode()
            connection.send_packed_command([packed(command)])
            most = seconds_to_wait(seconds + grace)
            found = bell.wait(most, connection._sock)
            if not found:
                if not bell.heard():
                    raise driver.TimeoutError(f"no answer within {most:.1f} seconds")
                if not self._unblock(line.id):
                    self._drop(line)
                    return None
            answer = _answer(connection)
        except BaseException as exc:
            self._drop(line)
            if isinstance(exc, driver.RedisError | OSError):
                raise explained(self.where, exc) from exc
            raise
        self._give(line)
        if isinstance(answer, driver.ReadOnlyError):
            self.forget()
        if isinstance(answer, driver.ResponseError):
            if str(answer).startswith("UNBLOCKED"):
                raise explained(self.where, driver.ConnectionError(str(answer)))
            raise explained(self.where, answer) from answer
        return answer

    def forget(self) -> None:
        """Close the connections that are idle: they lead to where nobody wants to go any more."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._open -= len(idle)
            self._room.notify_all()
        for line in idle:
            line.connection.disconnect()

    def close(self) -> None:
        """Those in use are closed when they come back."""
        self._closed = True
        self.forget()

    def _unblock(self, id: bytes) -> bool:
        """By another connection, within the limit. False where that cannot be (no right to it, none free)."""
        try:
            [answer] = self.ask((b"CLIENT", b"UNBLOCK", id))
        except (OperationalError, ConnectionLimitExceeded):
            return False
        return not isinstance(answer, driver.ResponseError)

    def _take(self) -> _Line:
        """One to ask the server by now."""
        line = self._open_line()
        line.wait_for(seconds_to_wait(self._patience))
        return line

    def _open_line(self) -> _Line:
        """One that the server has not closed: then nothing that is sent is lost without a word."""
        while True:
            line = self._idle_line()
            if line is None:
                break
            if line.is_alive():
                return line
            self._drop(line)
        try:
            return _Line(self._connect())
        except BaseException as exc:
            self._leave()
            if isinstance(exc, driver.RedisError | OSError) and not isinstance(exc, KombuError):
                raise explained(self.where, exc) from exc
            raise

    def _idle_line(self) -> _Line | None:
        """One that is idle; None where one more may be opened, which is counted already."""
        if self._pid != os.getpid():
            self._forget_the_parents()
        deadline: float | None = None
        patience = seconds_to_wait(self._patience)
        with self._lock:
            while True:
                if self._closed:
                    raise ConnectionError(f"{self.where}: this connection is closed")
                if self._idle:
                    return self._idle.pop()
                if self._open < self.limit:
                    self._open += 1
                    return None
                deadline = deadline or time.monotonic() + patience
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise ConnectionLimitExceeded(
                        f"{self.where}: all {self.limit} connections were in use for {patience:g} seconds;"
                        " raise the option max_connections, or use fewer threads"
                    )
                self._waiting += 1
                try:
                    self._room.wait(remaining)
                finally:
                    self._waiting -= 1

    def _forget_the_parents(self) -> None:
        """After a fork: connections are the parent's, and so may be the lock."""
        self._pid = os.getpid()
        self._renew_lock()
        self._idle, self._open = [], 0

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._waiting = 0

    def _give(self, line: _Line) -> None:
        if self._closed:
            self._drop(line)
            return
        with self._lock:
            self._idle.append(line)
            if self._waiting:
                self._room.notify()

    def _drop(self, line: _Line) -> None:
        line.connection.disconnect()
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._open -= 1
            self._room.notify()


def packed(command: Command) -> bytes:
    """A command as it is sent (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    parts = [b"*%d\r\n" % len(command)]
    parts += [b"$%d\r\n%b\r\n" % (len(part), part) for part in command]
    return b"".join(parts)


def _answer(connection: Connection) -> Any:
    try:
        return connection.read_response()
    except driver.ResponseError as refusal:
        return refusal
