"""Whether a server can be trusted with messages: looked at when a connection to it is opened."""

from __future__ import annotations

import logging
from typing import Any

from redis import exceptions as driver

from kombu.exceptions import OperationalError, VersionMismatch
from kombu.transport.redis.errors import explained
from kombu.transport.redis.server import Server

logger = logging.getLogger(__name__)

OLDEST = (6, 2)


def check_server(server: Server) -> None:
    """Raises :class:`VersionMismatch` for one that is too old, and :class:`OperationalError` for one that throws away
    keys when its memory is full. One that does not tell (its ACL) is only warned of."""
    [answer] = server.ask((b"INFO",))
    if isinstance(answer, driver.NoPermissionError):
        logger.warning("%s does not allow INFO: its version and maxmemory-policy are not known", server.where)
        return
    if isinstance(answer, driver.ResponseError):
        raise explained(server.where, answer) from answer
    check(server.where, facts(answer))


def facts(info: bytes) -> dict[str, str]:
    """What INFO says, by name (https://redis.io/docs/latest/commands/info/)."""
    lines = info.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def check(where: str, known: dict[str, Any]) -> None:
    version = known.get("redis_version", "")
    if version and _numbers(version) < OLDEST:
        raise VersionMismatch(f"{where} is Redis {version}: Kombu needs {'.'.join(map(str, OLDEST))} or newer")
    policy = known.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return
    remedy = "Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf), or use another server"
    if policy.startswith("allkeys") and known.get("maxmemory", "0") != "0":
        raise OperationalError(
            f"{where} has maxmemory-policy {policy}: it would throw messages away when its memory is full. {remedy}"
        )
    logger.warning("%s has maxmemory-policy %s, and must not throw keys away. %s", where, policy, remedy)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
