"""Names for the objects of a program that others write to."""

from __future__ import annotations

import os
import threading
from functools import cache
from uuid import NAMESPACE_OID, uuid4, uuid5

__all__ = ["generate_oid", "get_node_id", "oid_from"]


@cache
def get_node_id() -> int:
    """A number that stands for this program on this machine until it ends."""
    return uuid4().int


def generate_oid(node_id: int, process_id: int, thread_id: int, instance: object) -> str:
    """A UUID as text, always the same for the same four."""
    return str(uuid5(NAMESPACE_OID, f"{node_id:x}-{process_id:x}-{thread_id:x}-{id(instance):x}"))


def oid_from(instance: object, threads: bool = True) -> str:
    """A UUID as text for an object of this process, or of this thread where ``threads``."""
    return generate_oid(get_node_id(), os.getpid(), threading.get_ident() if threads else 0, instance)
