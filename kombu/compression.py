"""Compressing bodies, and decompressing them under a ceiling that holds before the memory is spent.

A kilobyte can stand for a gigabyte. The built-in methods therefore stop at the limit while they decompress;
what a method of your own gives back can only be measured afterwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

from kombu.exceptions import DecodeError, KombuError, SerializerNotInstalled

__all__ = [
    "DEFAULT_LIMIT",
    "compress",
    "decompress",
    "encoders",
    "get_decoder",
    "get_encoder",
    "register",
]

DEFAULT_LIMIT = 64 * 1024 * 1024
"""The most bytes that :func:`decompress` gives back unless told otherwise."""

Encoder = Callable[[bytes], bytes]
Decoder = Callable[[bytes], bytes]
BoundedDecoder = Callable[[bytes, int], bytes]

_LZMA_MEMORY = 128 * 1024 * 1024
"""Bytes a stream may ask of the decompressor itself: enough for ``xz -9``, which takes 65 MiB."""
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class _Method:
    """One way to compress. ``package`` is what to install for it, None when Python has it."""

    content_type: str
    encode: Encoder
    decode: BoundedDecoder
    package: str | None = None


class _Stream(Protocol):
    """What the decompressors of zlib, bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def register(encoder: Encoder, decoder: Decoder, content_type: str, aliases: Iterable[str] = ()) -> None:
    """Add a method, or replace one. ``content_type`` is what travels in the header ``compression``.

    ``encoder`` and ``decoder`` take bytes and give bytes. The ceiling of :func:`decompress` is checked on
    what ``decoder`` returned.
    """
    _add(_Method(content_type, encoder, lambda body, limit: decoder(body)), aliases)


def encoders() -> list[str]:
    """The content types of the methods that work here."""
    return [m.content_type for m in _methods.values() if m.package is None or find_spec(m.package)]


def get_encoder(t: str) -> tuple[Encoder, str]:
    """The encoder for a name or content type, and the content type."""
    method = _method(t)
    return method.encode, method.content_type


def get_decoder(t: str) -> Decoder:
    """The decoder for a name or content type; it keeps to :data:`DEFAULT_LIMIT`."""
    method = _method(t)
    return lambda body: _decode(method, body, DEFAULT_LIMIT)


def compress(body: bytes | str, content_type: str) -> tuple[bytes, str]:
    """The body compressed, and the content type for the header. Text is compressed as UTF-8.

    Raises :class:`~kombu.exceptions.SerializerNotInstalled` for an unknown method.
    """
    method = _method(content_type)
    return method.encode(body.encode("utf-8") if isinstance(body, str) else body), method.content_type


def decompress(body: bytes | str, content_type: str, limit: int = DEFAULT_LIMIT) -> bytes:
    """What was compressed, of at most ``limit`` bytes.

    Raises :class:`~kombu.exceptions.DecodeError` when it is more, or damaged, or cut short, or followed by
    something else; :class:`~kombu.exceptions.SerializerNotInstalled` for an unknown method.
    """
    if limit < 0:
        raise ValueError(f"the limit is negative: {limit}")
    if isinstance(body, str):
        raise DecodeError("the body is said to be compressed, but it is text")
    return _decode(_method(content_type), body, limit)


def _decode(method: _Method, body: bytes, limit: int) -> bytes:
    try:
        data = method.decode(body, limit)
    except KombuError:
        raise
    except Exception as exc:
        raise DecodeError(f"the body is not {method.content_type}: {exc}") from exc
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _method(name: str) -> _Method:
    try:
        return _methods[_aliases.get(name, name)]
    except (KeyError, TypeError):  # the header of a message may be anything
        known = ", ".join(sorted([*_aliases, *_methods]))
        raise SerializerNotInstalled(f"no compression {str(name)[:100]!r}; known are {known}") from None


def _add(method: _Method, aliases: Iterable[str] = ()) -> None:
    _methods[method.content_type] = method
    _aliases.update(dict.fromkeys(aliases, method.content_type))


def _too_large(limit: int) -> DecodeError:
    return DecodeError(f"the body is larger than {limit} bytes when decompressed")


def _read_stream(stream: _Stream, body: bytes, limit: int) -> bytes:
    """One byte more than the limit is asked for: enough to know, and no memory spent."""
    data = stream.decompress(body, limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    if not stream.eof:
        raise DecodeError("the compressed body is cut short")
    if stream.unused_data:
        raise DecodeError("the compressed body is followed by something else")
    return data


def _zlib_decode(body: bytes, limit: int) -> bytes:
    return _read_stream(zlib.decompressobj(_ZLIB_OR_GZIP), body, limit)


def _bz2_encode(body: bytes) -> bytes:
    import bz2

    return bz2.compress(body)


def _bz2_decode(body: bytes, limit: int) -> bytes:
    import bz2

    return _read_stream(bz2.BZ2Decompressor(), body, limit)


def _lzma_encode(body: bytes) -> bytes:
    import lzma

    return lzma.compress(body)


def _lzma_decode(body: bytes, limit: int) -> bytes:
    import lzma

    return _read_stream(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), body, limit)


def _brotli_encode(body: bytes) -> bytes:
    compressed: bytes = _installed("brotli").compress(body)
    return compressed


def _brotli_decode(body: bytes, limit: int) -> bytes:
    brotli = _installed("brotli")
    stream = brotli.Decompressor()
    if not hasattr(stream, "can_accept_more_data"):
        raise SerializerNotInstalled("this brotli cannot be bounded: pip install 'brotli>=1.2'")
    data = bytearray()
    fed = body
    while not stream.is_finished():
        part = stream.process(fed, output_buffer_limit=limit + 1 - len(data))
        data += part
        if len(data) > limit:
            raise _too_large(limit)
        if not part and stream.can_accept_more_data() and not stream.is_finished():
            raise DecodeError("the compressed body is cut short")
        fed = b""
    return bytes(data)


def _zstd_encode(body: bytes) -> bytes:
    compressed: bytes = _installed("zstandard").ZstdCompressor().compress(body)
    return compressed


def _zstd_decode(body: bytes, limit: int) -> bytes:
    """A frame that states its size is believed only up to the limit; any other gets a buffer of the limit."""
    zstandard = _installed("zstandard")
    size = zstandard.get_frame_parameters(body).content_size
    if size != zstandard.CONTENTSIZE_UNKNOWN and size > limit:
        raise _too_large(limit)
    data: bytes = zstandard.ZstdDecompressor().decompress(body, max_output_size=max(limit, 1), allow_extra_data=False)
    return data


def _installed(package: str) -> ModuleType:
    try:
        return import_module(package)
    except ImportError as exc:
        raise SerializerNotInstalled(f"this compression needs a package: pip install {package}") from exc


_methods: dict[str, _Method] = {}
_aliases: dict[str, str] = {}

_add(_Method("application/x-gzip", zlib.compress, _zlib_decode), ["gzip", "zlib"])
_add(_Method("application/x-bz2", _bz2_encode, _bz2_decode), ["bzip2", "bzip"])
_add(_Method("application/x-lzma", _lzma_encode, _lzma_decode), ["lzma", "xz"])
_add(_Method("application/x-brotli", _brotli_encode, _brotli_decode, "brotli"), ["brotli"])
_add(_Method("application/zstd", _zstd_encode, _zstd_decode, "zstandard"), ["zstd", "zstandard"])
