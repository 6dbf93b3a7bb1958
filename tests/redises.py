"""Redis in the tests: a prefix of keys for each, and what is left under it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from kombu.connection.parameters import Arguments
from tests import servers

if TYPE_CHECKING:
    import redis

    from kombu.transport.redis import RedisStore

ADDRESS = f"{servers.HOST}:{servers.REDIS_PORT}"


def new_prefix() -> str:
    return f"kombu-tests-{uuid4().hex}:"


@contextmanager
def client(port: int = servers.REDIS_PORT) -> Iterator[redis.Redis]:
    """The driver's own, to look at keys."""
    import redis

    with redis.Redis(host=servers.HOST, port=port, socket_timeout=servers.PATIENCE) as made:
        yield made


def keys(prefix: str) -> list[str]:
    """What there is under it, but for the marks of batches, which end by themselves."""
    with client() as server:
        return sorted(key.decode() for key in server.scan_iter(match=f"{prefix}*", count=1000) if b":sent:" not in key)


def remove(prefix: str) -> None:
    with client() as server:
        found = list(server.scan_iter(match=f"{prefix}*", count=1000))
        if found:
            server.unlink(*found)


def store(url: str, prefix: str, **options: object) -> RedisStore:
    """Not opened yet."""
    from kombu.transport.redis import Transport

    target = Arguments(transport_options={"global_keyprefix": prefix, **options}).target(url)
    return Transport(target.address).make_store()
