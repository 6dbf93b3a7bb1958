"""The filesystem transport: queues in a folder, for all processes of a machine (``filesystem:///spool``)."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from kombu.exceptions import InvalidURL
from kombu.transport.filesystem.store import FileStore
from kombu.transport.virtual import Transport as VirtualTransport
from kombu.transport.virtual import VirtualConnection, read_options

__all__ = ["FileStore", "Transport"]

_OWN = ("sync", "data_folder", "data_folder_in", "data_folder_out")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_OF_OTHERS = ("processed_folder", "store_processed", "control_folder")


class Transport(VirtualTransport):
    """``filesystem:///spool``: three slashes from the working directory, four from the root. Transport options, beside
    those of every store:

    ``sync``
        Whether what is stored is on the disk when publishing returns, so that it outlives a power failure: yes, unless
        it says no. What a process stored outlives that process in any case.
    ``data_folder``
        The folder, for URLs that do not name it.
    """

    driver_type = "filesystem"
    driver_name = "filesystem"

    def make_store(self) -> FileStore:
        return FileStore(self._folder(), sync=_flag("sync", self.address.options.get("sync", True)))

    def establish_connection(self) -> VirtualConnection:
        options = self.address.options
        if foreign := [name for name in _OF_OTHERS if name in options]:
            raise InvalidURL(
                f"transport option {foreign[0]!r}: what is acknowledged leaves nothing behind here, and exchanges and"
                " bindings are in the spool itself; leave the option out"
            )
        rest = {name: value for name, value in options.items() if name not in _OWN}
        connection = VirtualConnection(self.make_store(), read_options(rest))
        connection.open()
        return connection

    def driver_version(self) -> str:
        return platform.release()

    def _folder(self) -> str:
        """Raises :class:`InvalidURL` unless exactly one is named."""
        address = self.address
        if address.hostname not in (None, "", "localhost"):
            raise InvalidURL(
                f"filesystem://{address.hostname}: a folder stands behind three slashes, or four from the root:"
                f" filesystem:///{address.hostname}"
            )
        named = {str(folder) for folder in (address.virtual_host, _data_folder(address.options)) if folder}
        if len(named) != 1:
            raise InvalidURL(
                "which folder? name one behind three slashes, as in filesystem:///spool, or four from the root"
                + (f"; not {' and '.join(sorted(named))}" if named else "")
            )
        folder = named.pop()
        if "\0" in folder:
            raise InvalidURL(f"the folder {folder!r} has a character that no path can have")
        return os.path.abspath(folder)


def _data_folder(options: Mapping[str, object]) -> object:
    """The one that is meant, where a pair of folders was told."""
    pair = [options[name] for name in ("data_folder_in", "data_folder_out") if name in options]
    if pair and (len(pair) != 2 or pair[0] != pair[1]):
        raise InvalidURL(
            "transport options data_folder_in and data_folder_out: one spool folder serves those who publish and those"
            " who consume; name it with data_folder, or in the URL: filesystem:///spool"
        )
    return options.get("data_folder") or (pair[0] if pair else None)


def _flag(name: str, value: object) -> bool:
    text = str(value).lower()
    if text in _YES or text in _NO:
        return text in _YES
    raise InvalidURL(f"transport option {name}={value!r} must be yes or no")
