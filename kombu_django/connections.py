"""One kombu connection for each thread and alias of ``settings.KOMBU``."""

from __future__ import annotations

import threading
from typing import Any

from django.core.signals import setting_changed

from kombu.connection import Connection
from kombu.transport.base import Channel
from kombu_django.conf import Config, get_config
from kombu_django.declaring import Declarer

_local = threading.local()


class Link:
    """A thread's own connection under one alias, with what publishing through it needs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.connection = connect(config)
        self.declarer = Declarer(config.alias)

    @property
    def channel(self) -> Channel:
        """Its channel, on which all is declared that the registered consumers need."""
        channel = self.connection.default_channel
        self.declarer.declare(channel)
        return channel


def connect(config: Config, **options: object) -> Connection:
    """A new connection; ``options`` override the transport options of the setting."""
    return Connection(config.url, transport_options={**config.transport_options, **options})


def link(alias: str) -> Link:
    """This thread's link; raises ``ImproperlyConfigured`` for an alias that is not configured."""
    links: dict[str, Link] = _links()
    if alias not in links:
        links[alias] = Link(get_config(alias))
    return links[alias]


def close_all() -> None:
    """Close this thread's connections."""
    links = _links()
    while links:
        links.popitem()[1].connection.release()


def _links() -> dict[str, Link]:
    if not hasattr(_local, "links"):
        _local.links = {}
    found: dict[str, Link] = _local.links
    return found


def _forget(setting: str, **kwargs: Any) -> None:
    """Tests that override ``KOMBU`` or ``DATABASES`` get new connections."""
    if setting in ("KOMBU", "DATABASES"):
        close_all()


setting_changed.connect(_forget, dispatch_uid="kombu_django.connections")
