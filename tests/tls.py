"""TLS before a server of the tests that has none: it is taken off here, and what comes out goes to the server."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select

from tests import servers
from tests.memory import PATIENCE


@contextmanager
def tls_before(server_port: int, certificate: Path, key: Path, clients: Path | None = None) -> Iterator[int]:
    """The port, as long as the block lasts. ``clients``: the authority of the certificates that they have to show."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    front = _Front(server_port, context)
    try:
        yield front.port
    finally:
        front.close()


class _Front:
    """A thread accepts; each connection has a thread of its own. All end when the rope is let go of."""

    def __init__(self, server_port: int, context: ssl.SSLContext) -> None:
        self._server_port = server_port
        self._context = context
        self._bell, self._rope = socket.socketpair()
        self._listening = socket.create_server((servers.HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="tls", daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._rope.close()
        for thread in self._threads:  # the first ends before the last is added
            thread.join(PATIENCE)
        for each in (self._listening, self._bell):
            each.close()

    def _accept(self) -> None:
        while self._bell not in select([self._listening, self._bell], [], [])[0]:
            client, _ = self._listening.accept()
            thread = threading.Thread(target=self._serve, args=(client,), name="tls", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE)
        with (
            suppress(OSError),  # a client that does not like the certificate hangs up, and so may the server
            client,
            self._context.wrap_socket(client, server_side=True) as secure,
            socket.create_connection((servers.HOST, self._server_port), PATIENCE) as server,
        ):
            while self._carry(secure, server):
                pass

    def _carry(self, secure: ssl.SSLSocket, server: socket.socket) -> bool:
        """What one of them says; False once one has ended, or we have."""
        ready = [secure] if secure.pending() else select([self._bell, secure, server], [], [])[0]
        speaker = ready[0]
        if speaker is self._bell or not (said := speaker.recv(65536)):
            return False
        (server if speaker is secure else secure).sendall(said)
        return True
