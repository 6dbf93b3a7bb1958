"""What programs use beside producers and consumers; each subject has its own module."""

from __future__ import annotations

from kombu.common.declaring import Broadcast, declaration_cached, declared_entities, entry_to_queue, maybe_declare
from kombu.common.failing import ignore_errors, insured, revive_connection
from kombu.common.naming import generate_oid, get_node_id, oid_from
from kombu.common.prefetching import PREFETCH_COUNT_MAX, QoS
from kombu.common.replying import collect_replies, send_reply
from kombu.common.waiting import drain_any, drain_consumer, eventloop, itermessages
from kombu.utils.uuid import uuid

__all__ = [
    "PREFETCH_COUNT_MAX",
    "Broadcast",
    "QoS",
    "collect_replies",
    "declaration_cached",
    "declared_entities",
    "drain_any",
    "drain_consumer",
    "entry_to_queue",
    "eventloop",
    "generate_oid",
    "get_node_id",
    "ignore_errors",
    "insured",
    "itermessages",
    "maybe_declare",
    "oid_from",
    "revive_connection",
    "send_reply",
    "uuid",
]
