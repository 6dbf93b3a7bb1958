"""What a reply code means (AMQP 0-9-1, section 1.2; https://www.rabbitmq.com/amqp-0-9-1-reference#constants)."""

from __future__ import annotations

from kombu.exceptions import (
    AccessRefused,
    ChannelError,
    ConnectionError,
    KombuError,
    MessageReturned,
    NotFound,
    NotSupported,
    OperationalError,
    PreconditionFailed,
    ResourceLocked,
)

__all__ = ["blocked", "channel_error", "connection_error", "refused_entry", "returned"]

_OF_A_CHANNEL: dict[int, type[ChannelError]] = {
    311: PreconditionFailed,
    312: MessageReturned,
    313: MessageReturned,
    403: AccessRefused,
    404: NotFound,
    405: ResourceLocked,
    406: PreconditionFailed,
    540: NotSupported,
}


def channel_error(code: int, text: str) -> ChannelError:
    """The error for a channel that the broker has closed."""
    return _OF_A_CHANNEL.get(code, ChannelError)(f"{text} (AMQP code {code})")


def connection_error(code: int, text: str) -> ConnectionError:
    """The error for a connection that the broker has closed. What it had not answered before is uncertain."""
    return ConnectionError(f"the broker closed the connection: {text} (AMQP code {code})")


def refused_entry(code: int, text: str, *, user: str | None, virtual_host: str, address: str) -> KombuError:
    """The error for a connection that did not come about, saying what to do. Never names a password."""
    if code == 403:
        return AccessRefused(
            f"{address} does not let user {user!r} in: wrong user or password, or no right to log in from here"
            f" (RabbitMQ's guest may only from the broker's own machine): {text}"
        )
    if code == 530 and "not found" in text:
        return OperationalError(
            f"{address} has no virtual host {virtual_host!r}: {text}. Create it (rabbitmqctl add_vhost), or mend its"
            " name in the URL"
        )
    if code == 530:
        return AccessRefused(
            f"user {user!r} has no right to the virtual host {virtual_host!r} of {address}: {text}. Grant it"
            " (rabbitmqctl set_permissions)"
        )
    return OperationalError(f"{address}: {text} (AMQP code {code})")


def returned(exchange: str, routing_key: str, code: int = 312, text: str = "NO_ROUTE") -> MessageReturned:
    """The error for a mandatory message that came back."""
    why = "no queue is bound to" if code == 312 else f"{text} from"
    return MessageReturned(f"{why} exchange {exchange!r} for routing key {routing_key!r}")


def blocked(reason: str) -> str:
    """What to say of publishing that waits for an alarm's end (https://www.rabbitmq.com/docs/connection-blocked)."""
    why = reason or "it gives no reason"
    return f"the broker has blocked publishers: {why}. It takes messages again when the alarm is over"
