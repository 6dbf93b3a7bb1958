"""The names of keys; ``scripts.lua`` says what is behind each."""

from __future__ import annotations

_MOST_REMEMBERED = 1000


class Keys:
    """All begin with ``prefix``. What stands in braces decides the slot in a cluster."""

    def __init__(self, prefix: str = "") -> None:
        self._before = f"{prefix}kombu:queue:{{".encode()
        self.topology = f"{prefix}kombu:topology:{{kombu}}".encode()
        self._known: dict[str, bytes] = {}

    def queue(self, name: str) -> bytes:
        """The base of a queue's keys."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            escaped = name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
            known = self._known[name] = self._before + escaped.encode("utf-8", "surrogatepass") + b"}"
        return known

    def name(self, base: bytes) -> str:
        """Whose base it is."""
        escaped = base[len(self._before) : -1].decode("utf-8", "surrogatepass")
        return escaped.replace("%7D", "}").replace("%7B", "{").replace("%25", "%")
