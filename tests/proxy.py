"""A TCP proxy before a server of the tests, which cuts, closes, swallows and delays when it is told to."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from tests import servers
from tests.memory import PATIENCE

Moment = Literal["before", "after", "never"]
"""``before``: the server never sees the words. ``after``: it has answered them, and the client never sees that.
``never``: nobody hears anything any more, on no connection; the server may have seen the words."""

Side = Literal["client", "server"]

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 65536


@dataclass(slots=True, eq=False)
class _Pair:
    """A client, and the server it talks to. ``said``: the end of what the client has said, for words in two pieces.

    ``unheard`` are those of the two whose words come to nothing.
    """

    client: socket.socket
    server: socket.socket
    said: bytes = b""
    doomed: bool = False
    unheard: set[socket.socket] = field(default_factory=set)


class Proxy:
    """To be used in a ``with`` block; clients connect to ``port``. Each order is carried out when its call returns.

    ``struck`` is set once the words given to :meth:`cut_at` were met; ``opened`` counts the connections.
    """

    def __init__(self, server_port: int) -> None:
        self.struck = threading.Event()
        self.opened = 0
        self._server_port = server_port
        self._listening = socket.create_server((servers.HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, _Pair] = {}
        self._orders: list[tuple[Callable[[], object], Future[None]]] = []
        self._bell, self._rope = socket.socketpair()
        self._words, self._moment, self._left, self._spared = b"", "", 0, 0
        self._silent = False
        self._latency = 0.0
        self._delayed: deque[tuple[float, socket.socket, _Pair, bytes]] = deque()
        self._running = True
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._order(self._end)
        self._thread.join(PATIENCE)

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._order(lambda: [self._part(pair) for pair in self._all()])

    def say_goodbye(self) -> None:
        """Close every connection as a server does that ends: in good order, from its side only."""
        self._order(lambda: [_end_of_speech(pair.client) for pair in self._all()])

    def hang_up_on_the_server(self) -> None:
        """Close every connection in good order as a client does that ends, from its side only. The clients know
        nothing of it, and what they still say comes to nothing."""

        def hang_up() -> None:
            for pair in self._all():
                _end_of_speech(pair.server)
                pair.unheard.add(pair.client)

        self._order(hang_up)

    def lose(self, *sides: Side) -> None:
        """Let whatever these sides say on the connections that are open now come to nothing, for ever; nobody is told.

        New connections are good: that is how a firewall forgets.
        """

        def lose() -> None:
            for pair in self._all():
                pair.unheard.update(getattr(pair, side) for side in sides)

        self._order(lose)

    def cut_at(self, words: bytes, moment: Moment, times: int = 1, spare: int = 0) -> None:
        """Reset the connection of whoever says these words next, in capitals or not, this many times; or, for the
        moment ``never``, fall silent then.

        The first ``spare`` are let pass. No words are any words.
        """

        def arm() -> None:
            self._words, self._moment, self._left, self._spared = words.lower(), moment, times, spare
            self.struck.clear()

        self._order(arm)

    def fall_silent(self, silent: bool = True) -> None:
        """Let nothing through any more, and keep everything open: a black hole."""

        self._order(lambda: self._fall_silent(silent))

    def slow_down(self, seconds: float) -> None:
        """Let whatever is said wait so long, in either direction."""
        self._order(lambda: setattr(self, "_latency", seconds))

    def _order(self, order: Callable[[], object]) -> None:
        done: Future[None] = Future()
        self._orders.append((order, done))
        self._rope.send(b"!")
        done.result(PATIENCE)

    def _run(self) -> None:
        while self._running:
            while self._delayed and self._delayed[0][0] <= time.monotonic():
                self._hear(*self._delayed.popleft()[1:])
            wait = max(self._delayed[0][0] - time.monotonic(), 0) if self._delayed else None
            for key, _ in self._selector.select(wait):
                match key.fileobj:
                    case self._bell:
                        self._obey()
                    case self._listening:
                        self._accept()
                    case socket.socket() as speaker if speaker in self._pairs:
                        self._listen_to(speaker, self._pairs[speaker])

    def _obey(self) -> None:
        self._bell.recv(1)
        order, done = self._orders.pop(0)
        try:
            order()
        except Exception as exc:  # noqa: BLE001 - raised in the caller
            done.set_exception(exc)
        else:
            done.set_result(None)

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        try:
            server = socket.create_connection((servers.HOST, self._server_port), PATIENCE)
        except OSError:
            client.close()  # the server is away: so is its proxy
            return
        self.opened += 1
        pair = _Pair(client, server)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[each] = pair
            if not self._silent:
                self._selector.register(each, selectors.EVENT_READ)

    def _listen_to(self, speaker: socket.socket, pair: _Pair) -> None:
        try:
            said = speaker.recv(_CHUNK)
        except OSError:
            said = b""
        if self._latency or self._delayed:
            self._delayed.append((time.monotonic() + self._latency, speaker, pair, said))
            if not said:
                self._stop_listening(speaker)
        else:
            self._hear(speaker, pair, said)

    def _hear(self, speaker: socket.socket, pair: _Pair, said: bytes) -> None:
        if speaker not in self._pairs:
            return  # it was cut while its words were on their way
        if speaker in pair.unheard:
            if not said:
                self._stop_listening(speaker)  # and the other side is not told
        elif not said:
            self._part(pair, reset=pair.doomed)
        elif speaker is pair.client:
            self._from_client(pair, said)
        elif pair.doomed:
            self._part(pair)
        else:
            self._pass_on(pair.client, said, pair)

    def _from_client(self, pair: _Pair, said: bytes) -> None:
        heard = pair.said + said.lower()
        pair.said = heard[-len(self._words) :] if self._words else b""
        if self._left and self._words in heard:
            pair.said = b""
            if self._spared:
                self._spared -= 1
                self._pass_on(pair.server, said, pair)
                return
            self._left -= 1
            self.struck.set()
            if self._moment == "before":
                self._part(pair)
                return
            if self._moment == "never":
                self._fall_silent(True)
            else:
                pair.doomed = True
        self._pass_on(pair.server, said, pair)

    def _fall_silent(self, silent: bool) -> None:
        self._silent = silent
        for each in self._pairs:
            if silent:
                self._stop_listening(each)
            elif each not in self._selector.get_map():
                self._selector.register(each, selectors.EVENT_READ)

    def _pass_on(self, listener: socket.socket, said: bytes, pair: _Pair) -> None:
        try:
            listener.sendall(said)
        except OSError:
            self._part(pair)

    def _part(self, pair: _Pair, reset: bool = True) -> None:
        """Of the two ends, the server's is closed in good order: what it was told, it carries out."""
        if reset:
            pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for each in (pair.client, pair.server):
            if self._pairs.pop(each, None) is not None:
                self._stop_listening(each)
            each.close()

    def _stop_listening(self, speaker: socket.socket) -> None:
        if speaker in self._selector.get_map():
            self._selector.unregister(speaker)

    def _all(self) -> list[_Pair]:
        return list(dict.fromkeys(self._pairs.values()))

    def _end(self) -> None:
        self._running = False
        for pair in self._all():
            self._part(pair)
        for each in (self._listening, self._bell, self._rope):
            each.close()
        self._selector.close()


def _end_of_speech(listener: socket.socket) -> None:
    """There is no more to be heard from here."""
    with suppress(OSError):  # it has hung up
        listener.shutdown(socket.SHUT_WR)
