"""The serializers that need an explicit yes: pickle, YAML and MessagePack, each loaded when first used."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

from kombu.exceptions import SerializerNotInstalled

pickle_protocol = int(os.environ.get("PICKLE_PROTOCOL", "4"))
"""The pickle protocol that is written."""


def pickle(data: object) -> bytes:
    import pickle

    return pickle.dumps(data, protocol=pickle_protocol)


def unpickle(body: bytes) -> object:
    import pickle

    return pickle.loads(body)  # noqa: S301 - reached only after an explicit yes


def dump_yaml(data: object) -> str:
    text: str = _installed("yaml", "yaml").safe_dump(data, allow_unicode=True)
    return text


def load_yaml(body: str) -> object:
    data: object = _installed("yaml", "yaml").safe_load(body)
    return data


def pack(data: object) -> bytes:
    body: bytes = _installed("msgpack", "msgpack").packb(data, use_bin_type=True)
    return body


def unpack(body: bytes) -> object:
    data: object = _installed("msgpack", "msgpack").unpackb(body, raw=False, strict_map_key=False)
    return data


def _installed(module: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as exc:
        raise SerializerNotInstalled(f"this serializer needs a package: pip install 'kombu[{extra}]'") from exc
