"""Exchange and binding: where messages are published to, and what leads on from there."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from kombu.abstract import ChannelLike, MaybeChannelBound, Object
from kombu.entity import checks
from kombu.exceptions import EncodeError, NotSupported
from kombu.serialization import dumps
from kombu.transport.base import Arguments, Content
from kombu.utils.uuid import uuid

if TYPE_CHECKING:
    from kombu.entity.queue import Queue

__all__ = [
    "DELIVERY_MODES",
    "PERSISTENT_DELIVERY_MODE",
    "TRANSIENT_DELIVERY_MODE",
    "Exchange",
    "as_exchange",
    "binding",
    "delivery_mode_of",
    "name_of",
]

TRANSIENT_DELIVERY_MODE = 1
PERSISTENT_DELIVERY_MODE = 2
DELIVERY_MODES = {"transient": TRANSIENT_DELIVERY_MODE, "persistent": PERSISTENT_DELIVERY_MODE}


class Exchange(MaybeChannelBound):
    """Where messages are published to (AMQP 0-9-1, section 3.1.3).

    ``type`` is ``direct``, ``topic``, ``fanout``, ``headers``, or what else the broker has; a transport refuses a type
    that it does not have when the exchange is declared. ``delivery_mode`` is ``"persistent"`` (the default),
    ``"transient"``, 1 or 2. ``passive``: declaring only looks whether it exists; ``no_declare``: not even that. The
    default exchange ``""`` and those named ``amq.*`` belong to the broker and are never declared.

    Raises ValueError for what no broker could mean.
    """

    attrs = ("name", "type", "arguments", "durable", "auto_delete", "delivery_mode", "passive", "no_declare")

    def __init__(
        self,
        name: str = "",
        type: str = "direct",
        channel: ChannelLike | None = None,
        *,
        arguments: Arguments = None,
        durable: bool = True,
        auto_delete: bool = False,
        delivery_mode: int | str | None = None,
        passive: bool = False,
        no_declare: bool = False,
    ) -> None:
        self.name = checks.text(name, "name")
        self.type = checks.text(type, "type") or "direct"
        self.arguments = checks.arguments(arguments, "arguments")
        self.durable = durable
        self.auto_delete = auto_delete
        self.delivery_mode = delivery_mode_of(delivery_mode)
        self.passive = passive
        self.no_declare = no_declare
        self._bind_itself(channel)

    def __repr__(self) -> str:
        return f"<Exchange {self.name!r} ({self.type})>"

    @property
    def belongs_to_broker(self) -> bool:
        """Whether the broker has it by itself, so that nobody declares or deletes it."""
        return not self.name or self.name.startswith("amq.")

    @property
    def can_cache_declaration(self) -> bool:
        """Whether it stays once it was declared: an auto-deleted one may go at any time."""
        return not self.auto_delete

    def declare(self, nowait: bool = False, passive: bool | None = None, channel: ChannelLike | None = None) -> None:
        """Make it exist; raises ``PreconditionFailed`` naming the difference where another one of the name exists.

        ``passive`` only looks whether it exists, and raises ``NotFound``; None means as the exchange says.
        """
        if self.belongs_to_broker or self.no_declare:
            return
        self._on(channel).exchange_declare(
            self.name,
            self.type,
            passive=self.passive if passive is None else passive,
            durable=self.durable,
            auto_delete=self.auto_delete,
            arguments=self.arguments,
            nowait=nowait,
        )

    def bind_to(
        self,
        exchange: Exchange | str = "",
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
        channel: ChannelLike | None = None,
    ) -> None:
        """Let messages of ``exchange`` flow into this one (https://www.rabbitmq.com/docs/e2e)."""
        self._on(channel).exchange_bind(self.name, name_of(exchange), routing_key, arguments, nowait=nowait)

    def unbind_from(
        self,
        source: Exchange | str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Arguments = None,
        channel: ChannelLike | None = None,
    ) -> None:
        """Undo :meth:`bind_to`."""
        self._on(channel).exchange_unbind(self.name, name_of(source), routing_key, arguments, nowait=nowait)

    def binding(
        self, routing_key: str = "", arguments: Arguments = None, unbind_arguments: Arguments = None
    ) -> binding:
        """A binding from this exchange, for ``Queue(bindings=[…])``."""
        return binding(self, routing_key, arguments, unbind_arguments)

    def Message(
        self,
        body: Any,
        delivery_mode: int | str | None = None,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        properties: Mapping[str, object] | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> Content:
        """A message for :meth:`publish`: text and bytes as they are, anything else as JSON.

        A body that comes with a content type is text or bytes already. ``properties`` are those of AMQP's basic
        class. Raises :class:`~kombu.exceptions.EncodeError`.
        """
        if content_type is None:
            content_type, content_encoding, body = dumps(body)
        encoding = content_encoding or ("utf-8" if isinstance(body, str) else "binary")
        described: dict[str, object] = {
            "content_type": content_type,
            "content_encoding": encoding,
            "delivery_mode": self.delivery_mode if delivery_mode is None else delivery_mode_of(delivery_mode),
            "message_id": uuid(),
            **({} if priority is None else {"priority": priority}),
            **({"headers": dict(headers)} if headers else {}),
            **(properties or {}),
        }
        return Content(_as_bytes(body, encoding), described)

    def publish(
        self,
        message: Any,
        routing_key: str | None = None,
        mandatory: bool = False,
        immediate: bool = False,
        exchange: Exchange | str | None = None,
    ) -> None:
        """Publish what :meth:`Message` made, or would make of it, to this exchange or to ``exchange``.

        A :class:`~kombu.Producer` can do more. Raises what its ``publish`` raises.
        """
        if immediate:
            raise NotSupported("immediate=True: no broker supports it any more; use expiration")
        content = message if isinstance(message, Content) else self.Message(message)
        target = self.name if exchange is None else name_of(exchange)
        self.channel.basic_publish(content, target, routing_key or "", mandatory=mandatory)

    def delete(self, if_unused: bool = False, nowait: bool = False) -> None:
        """Remove it from the broker."""
        self.channel.exchange_delete(self.name, if_unused=if_unused, nowait=nowait)


class binding(Object):
    """What leads from an exchange to a queue: a routing key, or arguments for a headers exchange.

    It describes its exchange and is never bound itself. ``unbind_arguments`` are for :meth:`unbind`, where they differ.
    """

    attrs = ("exchange", "routing_key", "arguments", "unbind_arguments")

    def __init__(
        self,
        exchange: Exchange | str | None = None,
        routing_key: str = "",
        arguments: Arguments = None,
        unbind_arguments: Arguments = None,
    ) -> None:
        source = as_exchange(exchange)
        self.exchange = copy(source) if source is not None and source.is_bound else source
        self.routing_key = checks.text(routing_key, "routing_key")
        self.arguments = checks.arguments(arguments, "arguments")
        self.unbind_arguments = checks.arguments(
            self.arguments if unbind_arguments is None else unbind_arguments, "unbind_arguments"
        )

    def __repr__(self) -> str:
        return f"<binding {name_of(self.exchange)!r} {self.routing_key!r}>"

    def __hash__(self) -> int:
        return hash((name_of(self.exchange), self.routing_key))

    def declare(self, channel: ChannelLike, nowait: bool = False) -> None:
        """Declare the exchange, if it has one to declare."""
        if self.exchange is not None:
            self.exchange.declare(nowait=nowait, channel=channel)

    def bind(self, entity: Exchange | Queue, nowait: bool = False, channel: ChannelLike | None = None) -> None:
        """Bind a queue, or another exchange."""
        entity.bind_to(self.exchange or "", self.routing_key, self.arguments, nowait=nowait, channel=channel)

    def unbind(self, entity: Exchange | Queue, nowait: bool = False, channel: ChannelLike | None = None) -> None:
        """Undo :meth:`bind`."""
        entity.unbind_from(
            self.exchange or "", self.routing_key, arguments=self.unbind_arguments, nowait=nowait, channel=channel
        )


def as_exchange(exchange: Exchange | str | None) -> Exchange | None:
    """A name stands for the exchange of that name. Raises ValueError for anything else."""
    if exchange is None or isinstance(exchange, Exchange):
        return exchange
    return Exchange(checks.text(exchange, "exchange"))


def name_of(exchange: Exchange | str | None) -> str:
    """Of an exchange, or what is its name already."""
    return exchange.name if isinstance(exchange, Exchange) else exchange or ""


def _as_bytes(body: object, encoding: str) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if not isinstance(body, str):
        raise EncodeError(f"a body with a content type is text or bytes already, not {type(body).__name__}")
    try:
        return body.encode("utf-8" if encoding == "binary" else encoding)
    except (LookupError, UnicodeEncodeError) as exc:
        raise EncodeError(f"the body cannot be encoded as {encoding!r}: {exc}") from exc


def delivery_mode_of(mode: int | str | None) -> int:
    """1 or 2, persistent unless said otherwise; raises ValueError for what is no delivery mode."""
    if mode is None:
        return PERSISTENT_DELIVERY_MODE
    found = DELIVERY_MODES.get(mode, mode) if isinstance(mode, str) else mode
    if found not in DELIVERY_MODES.values() or isinstance(found, bool):
        raise ValueError(f"delivery_mode={mode!r} must be one of 'transient', 'persistent', 1 and 2")
    return int(found)
