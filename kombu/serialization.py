"""Bodies to bytes and back, decoding only what was asked for.

JSON is the only serializer that is decoded unasked. Text and bytes pass as they are. Pickle runs code of the
sender's choosing (https://docs.python.org/3/library/pickle.html), so it and the others need an explicit yes:
a consumer's ``accept=["json", "pickle"]``, or :func:`enable_insecure_serializers` for the whole process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kombu import formats
from kombu.exceptions import ContentDisallowed, DecodeError, EncodeError, KombuError, SerializerNotInstalled
from kombu.formats import pickle_protocol
from kombu.utils import json
from kombu.utils.content import media_type, text_if_it_is, text_or_bytes, usual_encoding, utf8

if TYPE_CHECKING:
    import pickle

__all__ = [
    "ContentDisallowed",
    "Payload",
    "SerializerNotInstalled",
    "SerializerRegistry",
    "decode",
    "disable_insecure_serializers",
    "dumps",
    "enable_insecure_serializers",
    "encode",
    "loads",
    "pickle",
    "pickle_protocol",
    "prepare_accept_content",
    "raw_encode",
    "register",
    "register_json",
    "register_msgpack",
    "register_pickle",
    "register_yaml",
    "registry",
    "unregister",
]

Encoder = Callable[[Any], str | bytes]
Decoder = Callable[[Any], object]
Payload = tuple[str, str, str | bytes]
"""Content type, content encoding, and the body."""

TRUSTED_CONTENT = frozenset({"application/data", "application/octet-stream", "application/text", "text/plain"})
"""Content types that are never decoded further than to text, and need no one's leave."""

DEFAULT_SERIALIZER = "json"
INSECURE_SERIALIZERS = ("pickle", "yaml", "msgpack")
PLUGIN_GROUP = "kombu.serializers"

_AS_IS = (str, bytes, bytearray, memoryview)


@dataclass(frozen=True, slots=True)
class Serializer:
    """A named pair of functions and what their output is called on the wire."""

    name: str
    encode: Encoder
    decode: Decoder
    content_type: str
    content_encoding: str = "utf-8"
    reads_utf8: bool = False
    """``decode`` takes UTF-8 bytes as well as text, and raises nothing but our own errors."""


class SerializerRegistry:
    """The serializers by name and by content type, and which of them may be decoded unasked."""

    def __init__(self) -> None:
        self._by_name: dict[str, Serializer] = {}
        self._by_type: dict[str, Serializer] = {}
        self._enabled: set[str] = set()
        self._choosing = threading.Lock()
        self._quick: dict[str | None, Decoder] = {}
        """By content type, for those that are enabled and take UTF-8 bytes."""
        self._broken_plugins: dict[str, Exception] = {}
        self._plugins_loaded = False

    def dumps(self, data: object, serializer: str | None = None) -> Payload:
        """Content type, content encoding and body of ``data``.

        Without a serializer text and bytes are sent as they are and anything else as JSON. Raises
        :class:`~kombu.exceptions.EncodeError`, or
        :class:`~kombu.exceptions.SerializerNotInstalled` for an unknown name.
        """
        if serializer == "raw":
            return raw_encode(data)
        if not serializer and type(data) is not dict and isinstance(data, _AS_IS):
            return ("text/plain", "utf-8", utf8(data)) if isinstance(data, str) else raw_encode(data)
        chosen = self._by_name.get(serializer or DEFAULT_SERIALIZER) or self._named(serializer or DEFAULT_SERIALIZER)
        try:
            return chosen.content_type, chosen.content_encoding, chosen.encode(data)
        except KombuError:
            raise
        except Exception as exc:
            raise EncodeError(f"{type(data).__qualname__} cannot be sent as {chosen.name}: {exc}") from exc

    def loads(
        self,
        data: str | bytes | None,
        content_type: str | None,
        content_encoding: str | None,
        accept: Container[str] | None = None,
        force: bool = False,
    ) -> object:
        """What a body stands for, if it is accepted. None, a message without a body, stays None.

        ``accept`` lists names or content types; None means what is enabled, or anything with ``force``. A
        content type that no serializer claims is handed over as text or bytes. Without a content encoding,
        text is UTF-8 and what is not known to be text stays bytes; without a content type, too, it is text if it is
        UTF-8, and bytes otherwise.

        Raises :class:`~kombu.exceptions.ContentDisallowed` for what is not accepted and
        :class:`~kombu.exceptions.DecodeError` for what is not what its content type promises.
        """
        decode = self._quick.get(content_type) if content_encoding == "utf-8" and data is not None else None
        if decode and (accept is None or (not isinstance(accept, str) and content_type in accept)):
            return decode(data)  # the way of nearly every message: each step of the long way would be noticed
        if data is None:
            return None
        kind = media_type(content_type)
        found = None
        if kind not in TRUSTED_CONTENT:
            found = self._by_type.get(kind) or self._plugin_for(kind)
            self._check_accepted(kind, found, accept, force)
        if not content_type and not content_encoding:
            return text_if_it_is(data)
        body = text_or_bytes(
            data, content_encoding or (found.content_encoding if found else usual_encoding(content_type))
        )
        if found is None:
            return body
        try:
            return found.decode(body)
        except KombuError:
            raise
        except Exception as exc:
            raise DecodeError(f"the body is not {kind}: {exc}") from exc

    def register(
        self,
        name: str,
        encoder: Encoder,
        decoder: Decoder,
        content_type: str,
        content_encoding: str = "utf-8",
    ) -> None:
        """Add a serializer, or replace one, and enable it.

        ``encoder`` gives text or bytes; ``decoder`` is given text, or bytes when ``content_encoding`` is
        ``binary``. Raises ValueError for a content type that always passes as it is.
        """
        self._add(Serializer(name, encoder, decoder, media_type(content_type), content_encoding))
        self.enable(name)

    def unregister(self, name: str) -> None:
        """Forget a serializer. Raises :class:`~kombu.exceptions.SerializerNotInstalled`."""
        gone = self._named(name)
        del self._by_name[name]
        if self._by_type.get(gone.content_type) == gone:
            del self._by_type[gone.content_type]
            self._enabled.discard(gone.content_type)
            self._choose_quick()

    def enable(self, name: str) -> None:
        """Decode this serializer (a name or a content type) wherever no accept list says otherwise."""
        self._enabled.add(self._content_type(name))
        self._choose_quick()

    def disable(self, name: str) -> None:
        """Decode this serializer (a name or a content type) only where an accept list has it."""
        self._enabled.discard(self._content_type(name))
        self._choose_quick()

    def accepted_types(self, names: Iterable[str]) -> frozenset[str]:
        """The content types of an accept list, which has names or content types.

        Raises :class:`~kombu.exceptions.SerializerNotInstalled` for an unknown name.
        """
        return frozenset(map(self._content_type, [names] if isinstance(names, str) else names))

    @property
    def name_to_type(self) -> Mapping[str, str]:
        """The content type of every registered name."""
        return {name: each.content_type for name, each in self._by_name.items()}

    @property
    def type_to_name(self) -> Mapping[str, str]:
        """The name behind every registered content type."""
        return {content_type: each.name for content_type, each in self._by_type.items()}

    def _add(self, serializer: Serializer) -> None:
        if serializer.content_type in TRUSTED_CONTENT:
            raise ValueError(f"{serializer.content_type} passes as it is; use a content type of your own")
        self._by_name[serializer.name] = serializer
        self._by_type[serializer.content_type] = serializer
        self._choose_quick()

    def _choose_quick(self) -> None:
        with self._choosing:  # so that of two threads the later one has seen what the other has changed
            enabled = [each for kind, each in list(self._by_type.items()) if kind in self._enabled]
            self._quick = {each.content_type: each.decode for each in enabled if each.reads_utf8}

    def _named(self, name: str) -> Serializer:
        if name not in self._by_name:
            self._load_plugins()
        if found := self._by_name.get(name):
            return found
        if name in self._broken_plugins:
            cause = self._broken_plugins[name]
            raise SerializerNotInstalled(f"the serializer plug-in {name!r} does not load: {cause}") from cause
        known = ", ".join(sorted(self._by_name))
        raise SerializerNotInstalled(f"no serializer {name!r}; known are {known}, raw")

    def _content_type(self, name: str) -> str:
        if name == "raw":
            return "application/data"
        return media_type(name) if "/" in name else self._named(name).content_type

    def _check_accepted(self, kind: str, found: Serializer | None, accept: Container[str] | None, force: bool) -> None:
        if accept is None:
            if found and kind not in self._enabled and not force:
                raise _disallowed(kind, found, self._enabled)
            return
        listed = (accept,) if isinstance(accept, str) else accept
        if kind not in listed and not any(name in listed for name in self._names_of(kind)):
            raise _disallowed(kind, found, listed if isinstance(listed, Iterable) else ())

    def _names_of(self, kind: str) -> Iterator[str]:
        return (name for name, each in list(self._by_name.items()) if each.content_type == kind)

    def _plugin_for(self, kind: str) -> Serializer | None:
        self._load_plugins()
        return self._by_type.get(kind)

    def _load_plugins(self) -> None:
        """Entry points add names and content types; they replace none and are not enabled."""
        if self._plugins_loaded:
            return
        from importlib.metadata import entry_points

        for point in entry_points(group=PLUGIN_GROUP):
            try:
                plugin = Serializer(point.name, *point.load())
                if plugin.name not in self._by_name and plugin.content_type not in self._by_type:
                    self._add(plugin)
            except Exception as exc:  # noqa: BLE001 - kept, and raised when this plug-in is asked for
                self._broken_plugins[point.name] = exc
        self._plugins_loaded = True


def enable_insecure_serializers(choices: Iterable[str] = INSECURE_SERIALIZERS) -> None:
    """Let this process decode these as well, wherever no accept list says otherwise."""
    for name in choices:
        registry.enable(name)


def disable_insecure_serializers(allowed: Iterable[str] = (DEFAULT_SERIALIZER,)) -> None:
    """Go back to decoding only what is ``allowed``, wherever no accept list says otherwise."""
    for name in registry.name_to_type:
        registry.disable(name)
    for name in allowed:
        registry.enable(name)


def prepare_accept_content(
    types: Iterable[str] | None, name_to_type: Mapping[str, str] | None = None
) -> frozenset[str] | None:
    """The content types of an accept list of names or content types; None stays None.

    Raises :class:`~kombu.exceptions.SerializerNotInstalled` for an unknown name.
    """
    if types is None:
        return None
    if name_to_type is None:
        return registry.accepted_types(types)
    return frozenset(name_to_type.get(name) or registry._content_type(name) for name in types)


def raw_encode(data: object) -> Payload:
    """Text or bytes as they are. Raises :class:`~kombu.exceptions.EncodeError` for anything else."""
    if isinstance(data, str):
        return "application/data", "utf-8", utf8(data)
    if isinstance(data, (bytes, bytearray, memoryview)):
        return "application/data", "binary", bytes(data)
    raise EncodeError(f"raw sends text or bytes, not {type(data).__qualname__}: name a serializer")


def register_json() -> None:
    """Register JSON again, as it was at the start."""
    registry._add(Serializer("json", json.encode, json.loads, "application/json", reads_utf8=True))
    registry.enable("json")


def register_pickle() -> None:
    """Register pickle again, as it was at the start: not enabled."""
    registry._add(Serializer("pickle", formats.pickle, formats.unpickle, "application/x-python-serialize", "binary"))


def register_yaml() -> None:
    """Register YAML again, as it was at the start: not enabled, and read by the safe loader only."""
    registry._add(Serializer("yaml", formats.dump_yaml, formats.load_yaml, "application/x-yaml"))


def register_msgpack() -> None:
    """Register MessagePack again, as it was at the start: not enabled."""
    registry._add(Serializer("msgpack", formats.pack, formats.unpack, "application/x-msgpack", "binary"))


def _disallowed(kind: str, found: Serializer | None, allowed: Iterable[str]) -> ContentDisallowed:
    shown = kind[:100]
    accepted = ", ".join(sorted(allowed)) or "no serializer"
    name = found.name if found else shown
    return ContentDisallowed(
        f"a body of type {shown!r} is not accepted here; accepted are {accepted}, and plain text and bytes. "
        f"If its senders are trusted, say accept=[{name!r}, ...] or enable_insecure_serializers([{name!r}])"
    )


def __getattr__(name: str) -> ModuleType:
    """``serialization.pickle`` is the module of that name, which nobody needs until they say so."""
    if name == "pickle":
        return import_module("pickle")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


registry = SerializerRegistry()
register_json()
register_pickle()
register_yaml()
register_msgpack()

dumps = encode = registry.dumps
loads = decode = registry.loads
register = registry.register
unregister = registry.unregister
