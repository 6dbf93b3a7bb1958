"""The same nouns for asyncio: ``await``, ``async with`` and ``async for``.

A connection owns one thread, which alone touches the blocking connection below it. Coroutines hand it what they
want done: what they publish at the same time goes out in one batch, and none of them blocks the event loop.
"""

from kombu.aio.connection import Connection
from kombu.aio.consumer import Consumer
from kombu.aio.message import Message
from kombu.aio.producer import Batch, Producer
from kombu.aio.simple import SimpleQueue
from kombu.entity import Exchange, Queue, binding
from kombu.retry import RetryPolicy

__all__ = [
    "Batch",
    "Connection",
    "Consumer",
    "Exchange",
    "Message",
    "Producer",
    "Queue",
    "RetryPolicy",
    "SimpleQueue",
    "binding",
]
