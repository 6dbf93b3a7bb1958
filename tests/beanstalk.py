"""beanstalkd as the tests use it: a virtual host for each, of which nothing is left afterwards."""

from __future__ import annotations

import greenstalk

from tests import servers


def client() -> greenstalk.Client[bytes]:
    """The driver alone, as another program would use it."""
    return greenstalk.Client((servers.HOST, servers.BEANSTALKD_PORT), encoding=None)


def clear(virtual_host: str) -> None:
    """Delete all jobs that nobody holds, and with them the tubes."""
    with client() as server:
        for tube in server.tubes():
            if tube.startswith(f"{virtual_host};"):
                server.use(tube)
                for peek in (server.peek_ready, server.peek_delayed, server.peek_buried):
                    _delete_all(server, peek)


def _delete_all(server: greenstalk.Client[bytes], peek: object) -> None:
    assert callable(peek)
    while True:
        try:
            server.delete(peek())
        except greenstalk.NotFoundError:
            return
