"""The channel on which a connection declares, binds and deletes: an error there closes nobody's consumers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from amqp import spec
from amqp.serialization import loads

from kombu.exceptions import ConnectionError, NotFound
from kombu.transport.amqp.link import Link, Question, Station
from kombu.transport.base import Arguments, QueueDeclared
from kombu.transport.native.checks import check_arguments, check_exchange, check_name, check_queue, wire_name
from kombu.transport.native.delay import BindStep, DeclareStep

__all__ = ["Asking"]


class Asking(Station):
    """All methods are called with the lock of the link held. ``driver`` is the transport's name for errors."""

    def __init__(self, link: Link, driver: str, plugin_arguments: Collection[str] = ()) -> None:
        super().__init__(link)
        self._driver = driver
        self._plugin_arguments = plugin_arguments
        self._exchanges = {""}
        """Those that were seen to be there."""

    def know_exchange(self, name: str, deadline: float) -> None:
        """Raises :class:`~kombu.exceptions.NotFound` where it does not exist; asked once."""
        if name not in self._exchanges:
            self.declare_exchange(name, "", True, False, False, None, deadline)

    def forget_exchange(self, name: str) -> None:
        """It may be gone."""
        if name:
            self._exchanges.discard(name)

    def forget_exchanges(self) -> None:
        self._exchanges = {""}

    def declare_exchange(
        self,
        name: str,
        type: str,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        arguments: Arguments,
        deadline: float,
    ) -> None:
        check_exchange(self._driver, name, passive, arguments, self._plugin_arguments)
        if passive and not name:
            return
        given = check_arguments("exchange", name, arguments)
        flags = (passive, durable, auto_delete, False, False)
        self.ask(deadline, _declare_exchange(wire_name(name), type, flags, given))
        self._exchanges.add(name)

    def delete_exchange(self, name: str, if_unused: bool, deadline: float) -> None:
        """RabbitMQ says nothing of one that does not exist, so that is looked for first."""
        check_name("exchange", name)
        self.forget_exchange(name)
        look = _declare_exchange(wire_name(name), "", (True, False, False, False, False), {})
        arguments = (0, wire_name(name), if_unused, False)
        self.ask(deadline, look, Question(spec.Exchange.Delete, "Bsbb", arguments, spec.Exchange.DeleteOk))

    def bind_exchange(
        self, destination: str, source: str, key: str, arguments: Arguments, deadline: float, unbind: bool = False
    ) -> None:
        method = (
            (spec.Exchange.Unbind, spec.Exchange.UnbindOk) if unbind else (spec.Exchange.Bind, spec.Exchange.BindOk)
        )
        given = check_arguments("exchange", destination, arguments)
        for name in (destination, source):
            check_name("exchange", name)
        check_name("binding", key)
        values = (0, wire_name(destination), wire_name(source), key, False, given)
        self.ask(deadline, Question(method[0], "BsssbF", values, method[1]))

    def declare_queue(
        self,
        name: str,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Arguments,
        deadline: float,
    ) -> QueueDeclared:
        if not passive:
            check_queue(self._driver, name, exclusive, durable, arguments, self._plugin_arguments)
        check_name("queue", name)
        given = check_arguments("queue", name, arguments)
        flags = (passive, durable, exclusive, auto_delete, False)
        (answer,) = self.ask(deadline, _declare_queue(wire_name(name), flags, given))
        (found, messages, consumers), _ = loads("sll", answer, 0)
        return QueueDeclared(name or found, messages, consumers)

    def bind_queue(self, queue: str, exchange: str, key: str, arguments: Arguments, deadline: float) -> None:
        given = check_arguments("queue", queue, arguments)
        check_name("queue", queue)
        check_name("exchange", exchange)
        check_name("binding", key)
        values = (0, wire_name(queue), wire_name(exchange), key, False, given)
        self.ask(deadline, Question(spec.Queue.Bind, "BsssbF", values, spec.Queue.BindOk))

    def unbind_queue(self, queue: str, exchange: str, key: str, arguments: Arguments, deadline: float) -> None:
        given = check_arguments("queue", queue, arguments)
        check_name("binding", key)
        values = (0, wire_name(queue), wire_name(exchange), key, given)
        self.ask(deadline, Question(spec.Queue.Unbind, "BsssF", values, spec.Queue.UnbindOk))

    def purge_queue(self, queue: str, deadline: float) -> int:
        check_name("queue", queue)
        values = (0, wire_name(queue), False)
        (answer,) = self.ask(deadline, Question(spec.Queue.Purge, "Bsb", values, spec.Queue.PurgeOk))
        return _count(answer)

    def delete_queue(self, queue: str, if_unused: bool, if_empty: bool, deadline: float) -> int:
        check_name("queue", queue)
        values = (0, wire_name(queue), if_unused, if_empty, False)
        (answer,) = self.ask(deadline, Question(spec.Queue.Delete, "Bsbbb", values, spec.Queue.DeleteOk))
        return _count(answer)

    def has_queue(self, queue: str, deadline: float) -> bool:
        try:
            self.declare_queue(queue, True, False, False, False, None, deadline)
        except NotFound:
            return False
        return True

    def carry_out(self, steps: Sequence[DeclareStep | BindStep], deadline: float) -> None:
        """Declare all this, in one go."""
        questions = [question for step in steps for question in _questions(step)]
        self.ask(deadline, *questions)
        self._exchanges.update(step.name for step in steps if isinstance(step, DeclareStep))

    def on_lost(self, error: ConnectionError) -> None:
        self.number = 0


def _questions(step: DeclareStep | BindStep) -> list[Question]:
    if isinstance(step, BindStep):
        values = (0, wire_name(step.destination), wire_name(step.source), "", False, dict(step.arguments))
        if step.to_exchange:
            return [Question(spec.Exchange.Bind, "BsssbF", values, spec.Exchange.BindOk)]
        return [Question(spec.Queue.Bind, "BsssbF", values, spec.Queue.BindOk)]
    flags = (False, True, False, False, False)
    found = [_declare_exchange(step.name, "headers", flags, {})]
    if step.arguments is not None:
        found.append(_declare_queue(step.name, flags, dict(step.arguments)))
    return found


def _declare_exchange(
    name: str, type: str, flags: tuple[bool, bool, bool, bool, bool], arguments: dict[str, object]
) -> Question:
    """Flags: passive, durable, auto_delete, internal, nowait."""
    values = (0, name, type, *flags, arguments)
    return Question(spec.Exchange.Declare, "BssbbbbbF", values, spec.Exchange.DeclareOk)


def _declare_queue(name: str, flags: tuple[bool, bool, bool, bool, bool], arguments: dict[str, object]) -> Question:
    """Flags: passive, durable, exclusive, auto_delete, nowait."""
    return Question(spec.Queue.Declare, "BsbbbbbF", (0, name, *flags, arguments), spec.Queue.DeclareOk)


def _count(answer: bytes) -> int:
    (count,), _ = loads("l", answer, 0)
    return int(count)
