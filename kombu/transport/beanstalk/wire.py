"""One connection to beanstalkd: single commands through greenstalk, and many at once in one exchange.

The protocol (https://github.com/beanstalkd/beanstalkd/blob/master/doc/protocol.txt) is lines that are answered in their
order, so commands may be sent without waiting for the answers to those before. greenstalk waits for each,
:meth:`Line.ask` does not.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import greenstalk

from kombu.exceptions import ConnectionError, OperationalError
from kombu.transport.virtual.deadline import seconds_to_wait

T = TypeVar("T")

_WITH_BODY = {b"OK", b"RESERVED", b"FOUND"}
_LONGEST_LINE = 1024
_BUFFER = 1 << 17
_TOGETHER = 16
"""Commands that follow from others, in one piece."""
_MOST_COMMANDS = 256
_MOST_BYTES = 1 << 20
"""In one exchange: the server stops reading while nobody reads its answers, so there may not be too many of them."""

_new = tuple.__new__
"""Makes a named tuple without a step in Python: several for every message."""

_FIGURE = re.compile(rb"([a-z-]+): (\S+)")


class Reply(NamedTuple):
    """``status`` is the answer's first word, ``values`` are those after it."""

    status: bytes
    values: list[bytes]
    body: bytes

    def figures(self) -> dict[bytes, bytes]:
        """What a stats command answers."""
        return dict(_FIGURE.findall(self.body))


class Line:
    """Not to be used by two threads at once. After an error it is of no more use: jobs it had reserved are released by
    the server at that moment."""

    def __init__(self, host: str, port: int, connect_timeout: float, timeout: float) -> None:
        self.name = f"beanstalk://{host}:{port}"
        self.broken = False
        try:
            self.socket = socket.create_connection((host, port), connect_timeout)
        except OSError as exc:
            raise OperationalError(f"{self.name}: {exc}. Does beanstalkd run there?") from exc
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._reader = self.socket.makefile("rb", _BUFFER)
        self._client = greenstalk.Client(self.socket, encoding=None)
        self._timeout = connect_timeout
        self._usual = timeout

    def greet(self) -> int:
        """The largest job that the server takes, in bytes. Raises where no beanstalkd answers in time."""
        try:
            return self.call(lambda client: client.stats())["max-job-size"]
        except (OperationalError, greenstalk.Error, KeyError) as exc:
            self.close()
            cause = exc.__cause__ or exc
            raise OperationalError(f"{self.name} does not answer as beanstalkd does: {cause!r}") from cause
        finally:
            self._timeout = self._usual

    def call(self, command: Callable[[greenstalk.Client[bytes]], T]) -> T:
        """One command. What the server refuses is raised as greenstalk does, a lost connection as ours."""
        self._check()
        try:
            return command(self._client)
        except greenstalk.BeanstalkdError:
            raise
        except (OSError, AssertionError, ValueError, greenstalk.Error) as exc:
            raise self._lost(exc) from exc
        except BaseException:
            self.close()  # between a question and its answer
            raise

    def ask(self, commands: Sequence[bytes]) -> list[Reply]:
        """The answers to these commands, each of which ends with a line end."""
        return list(self.stream(commands))

    def stream(self, commands: Sequence[bytes]) -> Iterator[Reply]:
        """The answers to these commands, to be looked at while the server is still at work on the next ones. Who does
        not take all of them has closed the connection with that."""
        self._check()
        try:
            for exchange in _exchanges(commands):
                self.socket.sendall(b"".join(exchange))
                for _ in exchange:
                    yield self._read()
        except (OSError, ValueError) as exc:
            raise self._lost(exc) from exc
        except BaseException:
            self.close()  # between a question and its answer
            raise

    def chain(
        self, commands: Sequence[bytes], follow: Callable[[Reply], bytes | None]
    ) -> tuple[list[Reply], list[Reply]]:
        """The answers to these commands, and those to the commands that follow from an answer. The latter are sent
        while the server is still at work on the former."""
        self._check()
        replies: list[Reply] = []
        following: list[Reply] = []
        try:
            for exchange in _exchanges(commands):
                self.socket.sendall(b"".join(exchange))
                asked, waiting = 0, list[bytes]()
                for _ in exchange:
                    reply = self._read()
                    replies.append(reply)
                    if command := follow(reply):
                        waiting.append(command)
                        if len(waiting) == _TOGETHER:
                            self.socket.sendall(b"".join(waiting))
                            asked, waiting = asked + _TOGETHER, []
                if waiting:
                    self.socket.sendall(b"".join(waiting))
                following += [self._read() for _ in range(asked + len(waiting))]
        except (OSError, ValueError) as exc:
            raise self._lost(exc) from exc
        except BaseException:
            self.close()  # between a question and its answer
            raise
        return replies, following

    def say(self, commands: Sequence[bytes]) -> list[bytes]:
        """The first words of the answers to commands that are answered by a line only."""
        self._check()
        words: list[bytes] = []
        try:
            for exchange in _exchanges(commands):
                self.socket.sendall(b"".join(exchange))
                lines = [self._reader.readline(_LONGEST_LINE) for _ in exchange]
                if not all(line.endswith(b"\r\n") for line in lines):
                    raise OSError("the server closed the connection")
                words += [line[:-2].partition(b" ")[0] for line in lines]
        except (OSError, ValueError) as exc:
            raise self._lost(exc) from exc
        except BaseException:
            self.close()  # between a question and its answer
            raise
        return words

    def close(self) -> None:
        self.broken = True
        with suppress(OSError):  # of a socket that is closed already, or of a reader that timed out
            self._reader.close()
        with suppress(OSError):
            self._client.close()
        self.socket.close()

    def _check(self) -> None:
        """It is there, and an answer is waited for as long as the caller waits."""
        if self.broken:
            raise ConnectionError(f"{self.name}: the connection was lost or closed before")
        self.socket.settimeout(seconds_to_wait(self._timeout))

    def _lost(self, exc: Exception) -> ConnectionError:
        self.close()
        text = "no answer in time" if isinstance(exc, TimeoutError) else str(exc) or repr(exc)
        error = ConnectionError(f"{self.name}: {text}")
        error.uncertain = True
        return error

    def _read(self) -> Reply:
        line = self._reader.readline(_LONGEST_LINE)
        if line[-2:] != b"\r\n":
            raise OSError("the server closed the connection" if not line.endswith(b"\n") else f"answered {line!r}")
        words = line.split() or [b""]
        if words[0] not in _WITH_BODY:
            return _new(Reply, (words[0], words[1:], b""))
        size = int(words[-1])
        body = self._reader.read(size + 2)
        if len(body) != size + 2:
            raise OSError("the server closed the connection")
        return _new(Reply, (words[0], words[1:], body[:-2]))


def refused(name: str, reply: Reply, what: str) -> OperationalError:
    """The error for an answer that is neither what was asked for nor expected otherwise; what greenstalk raises for it
    is the cause."""
    known = greenstalk.ERROR_RESPONSES.get(reply.status)
    cause = known(reply.values) if known else greenstalk.UnknownResponseError(reply.status, reply.values)
    advice = _ADVICE.get(reply.status, "try again")
    error = OperationalError(f"{name}: {what}: the server says {reply.status.decode('latin-1')}; {advice}")
    error.__cause__ = cause
    return error


_ADVICE = {
    b"DRAINING": "it takes no more jobs, because it is being shut down (SIGUSR1)",
    b"OUT_OF_MEMORY": "it has no memory left",
    b"BURIED": "it has no memory left",
    b"JOB_TOO_BIG": "its option -z allows larger jobs",
}


def _exchanges(commands: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    if 0 < len(commands) <= _MOST_COMMANDS and sum(map(len, commands)) <= _MOST_BYTES:
        yield commands
        return
    exchange: list[bytes] = []
    size = 0
    for command in commands:
        if exchange and (len(exchange) == _MOST_COMMANDS or size + len(command) > _MOST_BYTES):
            yield exchange
            exchange, size = [], 0
        exchange.append(command)
        size += len(command)
    if exchange:
        yield exchange
