"""The way to where the keys are: one server, found anew whenever a connection is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redis import exceptions as driver

from kombu.exceptions import PublishUncertain
from kombu.transport.redis.bell import Bell
from kombu.transport.redis.checks import check_server
from kombu.transport.redis.errors import explained
from kombu.transport.redis.scripts import Script
from kombu.transport.redis.server import Command, Server

Parts = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How many replicas are to have what was stored, and the seconds that they may take."""

    replicas: int
    timeout: float


class Link(Protocol):
    """What the store asks of it. ``split``: keys are in several places, and a script reaches only those of one slot."""

    split: bool

    def open(self) -> None: ...

    def close(self) -> None: ...

    def run(self, script: Script, keys: Parts, arguments: Parts, confirm: bool = False) -> Any:
        """What the script answers. ``confirm``: once the replicas that are wanted have what it wrote, too, which it
        did if the answer is above 0.

        Raises :class:`PublishUncertain` when these are too few.
        """

    def ask(self, command: bytes, key: bytes, *arguments: bytes) -> Any:
        """What a command about one key answers."""

    def block(self, keys: Parts, seconds: float, bell: Bell) -> None:
        """Until one of these lists has an element, which is taken; until the bell rings; or for so long."""


class Direct:
    """To one server, which may be another one after a failover."""

    split = False

    def __init__(self, server: Server, confirmation: Confirmation, grace: float) -> None:
        self._server = server
        self._confirmation = confirmation
        self._grace = grace

    def open(self) -> None:
        check_server(self._server)

    def close(self) -> None:
        self._server.close()

    def run(self, script: Script, keys: Parts, arguments: Parts, confirm: bool = False) -> Any:
        return run_on(self._server, script, keys, arguments, self._confirmation if confirm else None)

    def ask(self, command: bytes, key: bytes, *arguments: bytes) -> Any:
        return self._server.ask_one(command, key, *arguments)

    def block(self, keys: Parts, seconds: float, bell: Bell) -> None:
        block_on(self._server, keys, seconds, bell, self._grace)


def run_on(
    server: Server,
    script: Script,
    keys: Parts,
    arguments: Parts,
    confirmation: Confirmation | None,
    asking: bool = False,
) -> Any:
    """The server knows the script by its name, or else learns it now. Raises the driver's error when the keys are
    elsewhere in the cluster."""
    rest = [b"%d" % len(keys), *keys, *arguments]
    answers = _run(server, [b"EVALSHA", script.sha, *rest], confirmation, asking)
    if isinstance(answers[0], driver.NoScriptError):
        answers = _run(server, [b"EVAL", script.source, *rest], confirmation, asking)
    answer = answers[0]
    if isinstance(answer, driver.MovedError | driver.AskError):
        raise answer
    if isinstance(answer, driver.ResponseError):
        raise explained(server.where, answer) from answer
    if confirmation is not None and confirmation.replicas and answer > 0:
        _see_confirmed(server, answers[1], confirmation)
    return answer


def block_on(server: Server, keys: Parts, seconds: float, bell: Bell, grace: float) -> None:
    """With a limit of one connection there would be none left to work with: then it is a short wait."""
    if server.limit < 2:
        bell.wait(min(seconds, 0.02))
        return
    server.block([b"BLPOP", *keys, b"%.3f" % max(seconds, 0.001)], seconds, bell, grace)


def _run(server: Server, command: Command, confirmation: Confirmation | None, asking: bool) -> list[Any]:
    commands = [command]
    if confirmation is not None and confirmation.replicas:
        commands.append((b"WAIT", b"%d" % confirmation.replicas, b"%d" % round(confirmation.timeout * 1000)))
    if asking:
        return server.ask((b"ASKING",), *commands)[1:]
    return server.ask(*commands)


def _see_confirmed(server: Server, answer: Any, wanted: Confirmation) -> None:
    if isinstance(answer, driver.ResponseError):
        raise explained(server.where, answer) from answer
    if answer < wanted.replicas:
        raise PublishUncertain(
            f"{server.where}: stored there, but only {answer} of {wanted.replicas} replicas said within"
            f" {wanted.timeout} seconds that they have it: a failover could lose it"
        )
