"""beanstalkd's protocol alone: one command after the other by greenstalk, and many at once on its socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

import greenstalk
from systems.place import HOST
from systems.system import Body, Claiming

TUBE = "bench-raw"


class RawBeanstalk(Claiming):
    """Puts, reserves and deletes as many as are asked for in one exchange."""

    def make(self) -> None:
        """A tube is there when something is in it."""

    def open(self) -> None:
        self.socket = socket.create_connection((HOST, self.place.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = greenstalk.Client(self.socket, encoding=None, use=TUBE, watch=TUBE)
        self.reader = self.socket.makefile("rb")

    def close(self) -> None:
        self.reader.close()
        self.client.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.client.put(json.dumps(body).encode())

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        texts = [json.dumps(body).encode() for body in bodies]
        self.ask([b"put 65536 0 60 %d\r\n%b\r\n" % (len(text), text) for text in texts])

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        answers = self.ask([b"reserve-with-timeout 0\r\n"] * limit)
        taken = [(words[1], data) for words, data in answers if words[0] == b"RESERVED"]
        return [id for id, _ in taken], [json.loads(data) for _, data in taken]

    def delete(self, ids: list[Any]) -> None:
        self.ask([b"delete %b\r\n" % id for id in ids])

    def ask(self, commands: list[bytes]) -> list[tuple[list[bytes], bytes]]:
        self.socket.sendall(b"".join(commands))
        return [self.answer() for _ in commands]

    def answer(self) -> tuple[list[bytes], bytes]:
        words = self.reader.readline().split()
        return words, self.reader.read(int(words[2]) + 2) if words[0] == b"RESERVED" else b""
