"""The way to a cluster: which server has a key is asked once, and again when a server says that it has moved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions as driver
from redis.crc import key_slot

from kombu.exceptions import ConnectionError, KombuError, OperationalError
from kombu.transport.redis.bell import Bell
from kombu.transport.redis.checks import check_server
from kombu.transport.redis.errors import explained
from kombu.transport.redis.link import Confirmation, Parts, block_on, run_on
from kombu.transport.redis.scripts import Script
from kombu.transport.redis.server import Server

Place = tuple[str, int]
_REDIRECTIONS = 8


class Cluster:
    """``seeds`` are asked for the others. ``server`` makes the one at a place."""

    split = True

    def __init__(
        self,
        seeds: Sequence[Place],
        server: Callable[[Place], Server],
        confirmation: Confirmation,
        grace: float,
    ) -> None:
        self._seeds = seeds
        self._make = server
        self._confirmation = confirmation
        self._grace = grace
        self._servers: dict[Place, Server] = {}
        self._slots: list[tuple[int, int, Place]] = []
        self._lock = threading.Lock()
        self._closed = False

    def open(self) -> None:
        self._look_where()
        for place in dict.fromkeys(place for *_, place in self._slots):
            check_server(self._at(place))

    def close(self) -> None:
        self._closed = True
        with self._lock:
            servers = list(self._servers.values())
            self._servers.clear()
        for server in servers:
            server.close()

    def run(self, script: Script, keys: Parts, arguments: Parts, confirm: bool = False) -> Any:
        confirmation = self._confirmation if confirm else None

        def run(server: Server, asking: bool) -> Any:
            return run_on(server, script, keys, arguments, confirmation, asking)

        return self._follow(keys[0], run)

    def ask(self, command: bytes, key: bytes, *arguments: bytes) -> Any:
        def ask(server: Server, asking: bool) -> Any:
            first = [(b"ASKING",)] if asking else []
            answer = server.ask(*first, (command, key, *arguments))[-1]
            if isinstance(answer, driver.MovedError | driver.AskError):
                raise answer
            if isinstance(answer, driver.ResponseError):
                raise explained(server.where, answer) from answer
            return answer

        return self._follow(key, ask)

    def block(self, keys: Parts, seconds: float, bell: Bell) -> None:
        """Lists of one slot."""

        def block(server: Server, asking: bool) -> None:
            block_on(server, keys, seconds, bell, self._grace)

        self._follow(keys[0], block)

    def _follow(self, key: bytes, call: Callable[[Server, bool], Any]) -> Any:
        """Where a server says that the key is elsewhere, there."""
        place, asking = self._place(key), False
        for _ in range(_REDIRECTIONS):
            try:
                return call(self._at(place), asking)
            except driver.AskError as exc:
                place, asking = (exc.host or place[0], exc.port), True
            except driver.MovedError as exc:
                place, asking = (exc.host or place[0], exc.port), False
                self._slots = []
            except ConnectionError:
                self._slots = []  # another may have its slots by now
                raise
            except OperationalError as exc:
                if "MOVED" in str(exc) or "UNBLOCKED" in str(exc):
                    self._slots = []
                raise
        raise OperationalError(f"cluster of {self._where()}: keys kept moving: {_REDIRECTIONS} redirections; try again")

    def _place(self, key: bytes) -> Place:
        slot = key_slot(key)
        for attempt in range(2):
            for first, last, place in self._slots:
                if first <= slot <= last:
                    return place
            if attempt == 0:
                self._look_where()
        raise OperationalError(f"cluster of {self._where()}: no server has slot {slot}: is the cluster complete?")

    def _look_where(self) -> None:
        """Ask whoever answers."""
        failure: KombuError | None = None
        for place in dict.fromkeys([*self._servers, *self._seeds]):
            try:
                answer = self._at(place).ask_one(b"CLUSTER", b"SLOTS")
            except KombuError as exc:
                failure = exc
                continue
            self._slots = [
                (int(first), int(last), ((host or place[0].encode()).decode(), int(port)))
                for first, last, (host, port, *_), *_ in answer
            ]
            return
        raise failure or OperationalError("no server of a cluster was named")

    def _at(self, place: Place) -> Server:
        with self._lock:
            if self._closed:
                raise ConnectionError(f"cluster of {self._where()}: this connection is closed")
            server = self._servers.get(place)
            if server is None:
                server = self._servers[place] = self._make(place)
            return server

    def _where(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self._seeds)
