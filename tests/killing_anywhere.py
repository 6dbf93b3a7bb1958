"""What :mod:`tests.killing` does, on any transport that reaches across processes: without transactions of its own.

``python -m tests.killing_anywhere SECONDS FOLDER URL``
"""

from __future__ import annotations

import sys
from pathlib import Path

from kombu import Connection, Message, Queue
from tests import killing


class Handler(killing.Handler):
    def _with_effect(self, id: str, message: Message) -> None:
        """There is nothing that it could be one with."""
        self._pen.write("end", id)
        message.ack()


def consume(url: str, pen: killing.Pen) -> None:
    with Connection(url, transport_options=killing.OPTIONS) as connection:
        handler = Handler(url, pen)
        with connection.Consumer([Queue("orders"), Queue("dead")], on_message=handler.handle, auto_declare=False):
            killing.drain_until_stopped(connection)


if __name__ == "__main__":
    killing.Nursery(Path(sys.argv[2]), sys.argv[3:], consume=consume).run(float(sys.argv[1]))
