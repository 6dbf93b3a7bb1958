"""A message as SQS carries it: the body as its body, everything else in two attributes.

``kombu.head`` is the engine's head. ``kombu.note``, JSON, has what AWS has no place for: how the body is encoded, its
time to live, when it is due. A body that is text goes as that text, so that other programs can read it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kombu.exceptions import DecodeError
from kombu.transport.virtual.head import encode_head
from kombu.utils import json

HEAD = "kombu.head"
NOTE = "kombu.note"
KEY = "kombu.key"
"""The routing key: what subscriptions to topics are filtered by."""

_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS does not take (https://www.w3.org/TR/REC-xml/#charsets)."""

_EMPTY, _BASE64 = "empty", "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Times are milliseconds since 1970 by AWS's clock; ``ttl`` is a length of time.

    ``body``: how it is encoded, ``""`` for text. ``stored``: when it was first, where it was sent again. ``due``: it is
    not to be delivered before. ``tried``: deliveries that AWS does not know of.
    """

    body: str = ""
    ttl: int | None = None
    stored: int | None = None
    due: int | None = None
    tried: int = 0


PLAIN = Note()


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What was received; ``received`` is AWS's count, ``sent`` seconds since 1970."""

    id: str
    handle: str
    head: str
    body: bytes
    note: Note
    received: int
    sent: float
    group: str | None
    size: int

    @property
    def stored(self) -> float:
        """Seconds since 1970."""
        return self.sent if self.note.stored is None else self.note.stored / 1000

    @property
    def deliveries(self) -> int:
        return self.received + self.note.tried

    def expired(self, now: float) -> bool:
        return self.note.ttl is not None and now >= self.stored + self.note.ttl / 1000


def encoded(head: str, body: bytes, note: Note = PLAIN) -> tuple[str, dict[str, Any]]:
    """The body and attributes for SendMessage."""
    text, encoding = _as_text(body)
    attributes = {HEAD: _attribute(head)}
    written = {name: value for name, value in asdict(note).items() if value != getattr(PLAIN, name)}
    if encoding:
        written["body"] = encoding
    if written:
        attributes[NOTE] = _attribute(json.dumps(written))
    return text, attributes


def size_of(text: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes as AWS counts them: the body, and each attribute's name, type and value."""
    return len(text.encode()) + sum(
        len(name.encode()) + len(value["DataType"]) + len(_value(value)) for name, value in attributes.items()
    )


def decoded(queue: str, message: Mapping[str, Any]) -> Incoming:
    """Never raises: a message that others sent is bytes, with its attributes as headers."""
    attributes = message.get("MessageAttributes") or {}
    system = message.get("Attributes") or {}
    text = str(message.get("Body", ""))
    size = size_of(text, attributes)
    note = PLAIN
    if HEAD in attributes:
        head = _value(attributes[HEAD]).decode(errors="replace")
        note = _note(attributes.get(NOTE))
        body = _as_bytes(text, note.body)
    else:
        head, body = _foreign(queue, message, attributes), text.encode(errors="surrogatepass")
    return Incoming(
        id=str(message["MessageId"]),
        handle=str(message["ReceiptHandle"]),
        head=head,
        body=body,
        note=note,
        received=int(system.get("ApproximateReceiveCount", 1)),
        sent=int(system.get("SentTimestamp", 0)) / 1000,
        group=system.get("MessageGroupId"),
        size=size,
    )


def _as_text(body: bytes) -> tuple[str, str]:
    if not body:
        return "-", _EMPTY  # SQS takes no empty body
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return b64encode(body).decode(), _BASE64
    return (b64encode(body).decode(), _BASE64) if _REFUSED.search(text) else (text, "")


def _as_bytes(text: str, encoding: str) -> bytes:
    if encoding == _EMPTY:
        return b""
    if encoding == _BASE64:
        try:
            return b64decode(text, validate=True)
        except (NotBase64, ValueError):
            pass  # it is not what it says it is: as it came, then
    return text.encode(errors="surrogatepass")


def _attribute(text: str) -> dict[str, Any]:
    """Characters that SQS does not take go as bytes."""
    if _REFUSED.search(text):
        return {"DataType": "Binary", "BinaryValue": text.encode(errors="surrogatepass")}
    return {"DataType": "String", "StringValue": text or " "}


def _value(attribute: Mapping[str, Any]) -> bytes:
    value = attribute.get("StringValue")
    return bytes(attribute.get("BinaryValue") or b"") if value is None else str(value).encode(errors="surrogatepass")


def _note(attribute: Mapping[str, Any] | None) -> Note:
    """What cannot be read in it counts as not said."""
    if attribute is None:
        return PLAIN
    try:
        found = json.loads(_value(attribute).decode())
    except (DecodeError, ValueError):
        return PLAIN
    if not isinstance(found, dict):
        return PLAIN
    numbers = {name: found[name] for name in ("ttl", "stored", "due", "tried") if _is_sane(found.get(name))}
    body = found.get("body")
    return Note(body=body if isinstance(body, str) else "", **numbers)


def _is_sane(number: object) -> bool:
    return type(number) is int and 0 <= number < 1 << 53


def _foreign(queue: str, message: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]]) -> str:
    headers = {name: _value(value).decode(errors="replace") for name, value in attributes.items()}
    return encode_head(
        "",
        queue,
        {
            "content_type": "application/octet-stream",
            "content_encoding": "binary",
            "message_id": str(message["MessageId"]),
            "headers": headers,
        },
    )
