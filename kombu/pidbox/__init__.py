"""Remote control: commands sent to nodes by name, by pattern or to all of them, and their replies gathered.

A command goes to the exchange ``<namespace>.pidbox``, which every node's queue ``<node>.<namespace>.pidbox`` is bound
to; a node does what is meant for it and ignores the rest. Replies go through ``reply.<namespace>.pidbox`` to a queue
of the caller's own. All of it is transient: who is not there hears nothing::

    mailbox = Mailbox("shop", type="fanout")

    node = mailbox(connection).Node("till-1", state={"orders": 3})

    @node.handler
    def count(state, what):
        return state[what]

    node.listen()  # and drain the connection

    mailbox(another).call(["till-1"], "count", {"what": "orders"}, timeout=2)  # [{"till-1": 3}]
"""

from __future__ import annotations

from kombu.pidbox.mailbox import Mailbox
from kombu.pidbox.node import Node
from kombu.pidbox.wire import Request

__all__ = ["Mailbox", "Node", "Request"]
