"""Frames of AMQP 0-9-1 (section 2.3), both ways: those that every message needs, quicker than a general codec has them.

Everything else goes through py-amqp's ``dumps`` and ``loads``, and its ``spec`` names the methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Protocol

from kombu.exceptions import ConnectionError
from kombu.transport.base import Publication
from kombu.transport.native.checks import check_header_size, check_publication, wire_name
from kombu.transport.native.properties import encode_properties
from kombu.transport.native.tables import short_string

__all__ = ["HEARTBEAT", "Encoder", "Parser", "Receives", "acks", "method", "rejects"]

METHOD, HEADER, BODY, BEAT = 1, 2, 3, 8

_FRAME = Struct(">BHI")
_END = b"\xce"
_END_OCTET = 0xCE
_AROUND = 8
"""Bytes of a frame around its payload."""

_SIGNATURE = Struct(">HH")
_ACK = Struct(">BHIHHQBB")
_REJECT = Struct(">BHIHHQBB")
_HEADER = Struct(">HHQ")
_SIZE = Struct(">Q")
_BASIC, _PUBLISH, _RETURN, _DELIVER, _GET_OK, _ACK_METHOD, _NACK_METHOD = 60, 40, 50, 60, 71, 80, 120
_WITH_CONTENT = frozenset({(_BASIC, _RETURN), (_BASIC, _DELIVER), (_BASIC, _GET_OK)})
_USUAL = 4
"""Properties that nearly every message has: content type and encoding, delivery mode, message id."""

_MOST_REMEMBERED = 1000

HEARTBEAT = _FRAME.pack(BEAT, 0, 0) + _END

Signature = tuple[int, int]


class Receives(Protocol):
    """Who is told what the broker says."""

    def on_method(self, number: int, signature: Signature, arguments: bytes) -> None:
        """A method without content on channel ``number``."""

    def on_content(self, number: int, signature: Signature, arguments: bytes, properties: bytes, body: bytes) -> None:
        """A message: delivered, asked for, or come back; its properties as they stand in the frame."""


def method(number: int, signature: Signature, arguments: bytes = b"") -> bytes:
    """The frame of a method."""
    payload = _SIGNATURE.pack(*signature) + arguments
    return _FRAME.pack(METHOD, number, len(payload)) + payload + _END


def acks(number: int, up_to: int, singly: tuple[int, ...]) -> bytes:
    """basic.ack for all up to a tag, where that is one, and for some single ones."""
    frames = [_ACK.pack(METHOD, number, 13, _BASIC, _ACK_METHOD, up_to, 1, _END_OCTET)] if up_to else []
    frames += [_ACK.pack(METHOD, number, 13, _BASIC, _ACK_METHOD, tag, 0, _END_OCTET) for tag in singly]
    return b"".join(frames)


def rejects(number: int, tags: list[int], requeue: bool) -> bytes:
    """basic.nack for each of them."""
    bits = 2 if requeue else 0
    return b"".join(_REJECT.pack(METHOD, number, 13, _BASIC, _NACK_METHOD, tag, bits, _END_OCTET) for tag in tags)


class Encoder:
    """Publications as frames for one channel. What messages have in common is remembered."""

    def __init__(self, number: int, frame_max: int) -> None:
        self._number = number
        self._frame_max = frame_max or 131072
        self._methods: dict[tuple[str, str, bool], bytes] = {}
        self._beginnings: dict[tuple[object, object, object], bytes] = {}

    def encode(self, publication: Publication) -> bytes:
        """Method, header and body. Raises ``EncodeError`` and ``PreconditionFailed`` for what cannot be sent."""
        (body, properties), exchange, routing_key, mandatory, _ = publication
        begin = self._methods.get((exchange, routing_key, mandatory)) or self._method(publication)
        header = self._properties(properties)
        size, number = len(body), self._number
        content = _HEADER.pack(_BASIC, 0, size) + header
        check_header_size(len(content), self._frame_max)
        whole = [begin, _FRAME.pack(HEADER, number, len(content)), content, _END]
        room = self._frame_max - _AROUND
        if 0 < size <= room:
            whole += (_FRAME.pack(BODY, number, size), body, _END)
        else:
            for start in range(0, size, room):
                part = body[start : start + room]
                whole += (_FRAME.pack(BODY, number, len(part)), part, _END)
        return b"".join(whole)

    def _method(self, publication: Publication) -> bytes:
        check_publication(publication)
        _, exchange, routing_key, mandatory, _ = publication
        key = routing_key if exchange else wire_name(routing_key)
        arguments = (
            b"\x00\x00"
            + short_string(wire_name(exchange), "the name of an exchange")
            + short_string(key, "a routing key")
            + (b"\x01" if mandatory else b"\x00")
        )
        made = method(self._number, (_BASIC, _PUBLISH), arguments)
        if len(self._methods) >= _MOST_REMEMBERED:
            self._methods.clear()
        self._methods[exchange, routing_key, mandatory] = made
        return made

    def _properties(self, properties: Mapping[str, object]) -> bytes:
        if len(properties) != _USUAL:
            return encode_properties(properties)
        message_id = properties.get("message_id")
        if type(message_id) is not str:
            return encode_properties(properties)
        usual = properties.get("content_type"), properties.get("content_encoding"), properties.get("delivery_mode")
        if None in usual:
            return encode_properties(properties)
        try:
            begin = self._beginnings.get(usual)
        except TypeError:
            return encode_properties(properties)
        return (begin or self._begin(properties, usual)) + short_string(message_id, "the property message_id")

    def _begin(self, properties: Mapping[str, object], usual: tuple[object, object, object]) -> bytes:
        """All before the message id, which comes last of these four."""
        made = encode_properties({**properties, "message_id": ""})[:-1]
        if len(self._beginnings) >= _MOST_REMEMBERED:
            self._beginnings.clear()
        self._beginnings[usual] = made
        return made


class _Content:
    """A message that is not complete yet."""

    __slots__ = ("arguments", "left", "parts", "properties", "signature")

    def __init__(self, signature: Signature, arguments: bytes) -> None:
        self.signature = signature
        self.arguments = arguments
        self.properties = b""
        self.left = 0
        self.parts: list[bytes] = []


class Parser:
    """From bytes, as they come, to what :class:`Receives` is told."""

    def __init__(self, receiver: Receives) -> None:
        self._receiver = receiver
        self._rest = b""
        self._contents: dict[int, _Content] = {}

    def feed(self, data: bytes) -> None:
        """Raises :class:`~kombu.exceptions.ConnectionError` for what is no frame."""
        if self._rest:
            data = self._rest + data
        position, size = 0, len(data)
        contents, receiver, unpack = self._contents, self._receiver, _FRAME.unpack_from
        while size - position >= _AROUND:
            kind, number, length = unpack(data, position)
            start = position + 7
            end = start + length
            if end >= size:
                break
            if data[end] != _END_OCTET:
                raise ConnectionError("the broker sent what is no frame of AMQP 0-9-1")
            position = end + 1
            if kind == BODY:
                content = contents.get(number)
                if content is not None:
                    self._body(number, content, data[start:end])
            elif kind == HEADER:
                content = contents.get(number)
                if content is not None:
                    content.properties = data[start + 12 : end]
                    content.left = _SIZE.unpack_from(data, start + 4)[0]
                    if not content.left:
                        self._complete(number, content)
            elif kind == METHOD:
                signature: Signature = _SIGNATURE.unpack_from(data, start)
                if signature in _WITH_CONTENT:
                    contents[number] = _Content(signature, data[start + 4 : end])
                else:
                    receiver.on_method(number, signature, data[start + 4 : end])
        self._rest = data[position:] if position < size else b""

    def forget(self, number: int) -> None:
        """The channel is closed: what had begun there will not be completed."""
        self._contents.pop(number, None)

    def _body(self, number: int, content: _Content, part: bytes) -> None:
        content.parts.append(part)
        content.left -= len(part)
        if content.left <= 0:
            self._complete(number, content)

    def _complete(self, number: int, content: _Content) -> None:
        del self._contents[number]
        parts = content.parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._receiver.on_content(number, content.signature, content.arguments, content.properties, body)
