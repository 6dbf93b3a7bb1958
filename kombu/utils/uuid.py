"""Random identifiers for messages, consumers and tickets."""

from __future__ import annotations

from os import urandom

__all__ = ["uuid"]

_VARIANTS = "89ab"


def uuid() -> str:
    """A random UUID (RFC 9562, version 4) as text; built by hand because every publish asks for one."""
    h = urandom(16).hex()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{_VARIANTS[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
