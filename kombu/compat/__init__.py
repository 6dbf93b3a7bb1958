"""carrot's classes, for programs that were written for it: only the import changes.

``carrot.messaging`` and ``carrot.connection`` become ``kombu.compat``. What is different: a consumer decodes pickle and
yaml only where its ``accept`` says so, or after :func:`kombu.enable_insecure_serializers`.
"""

from __future__ import annotations

from kombu.common import entry_to_queue
from kombu.compat.both import Messaging
from kombu.compat.consuming import Consumer, ConsumerSet
from kombu.compat.publishing import Publisher
from kombu.connection import BrokerConnection

__all__ = ["BrokerConnection", "Consumer", "ConsumerSet", "Messaging", "Publisher", "entry_to_queue"]
