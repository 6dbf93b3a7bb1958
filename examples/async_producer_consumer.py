"""Publish and consume in coroutines.

``kombu.aio`` has the same nouns, to be awaited. What coroutines publish at the same time goes out in one batch, none of
them blocks the event loop, and a consumer is an asynchronous iterator.

Prints::

    received [1, 4, 9, 16, 25]
"""

import asyncio
import sys

from kombu.aio import Connection, Queue
from kombu.exceptions import KombuError

squares = Queue("squares")


async def produce(connection: Connection, numbers: range) -> None:
    producer = connection.Producer(routing_key="squares")
    await asyncio.gather(*(producer.publish(number**2, declare=[squares]) for number in numbers))


async def consume(connection: Connection, count: int) -> list[int]:
    received: list[int] = []
    async with connection.Consumer(squares, prefetch_count=10) as consumer:
        async for message in consumer:
            received.append(message.payload)
            await message.ack()
            if len(received) == count:
                break
    return received


async def run(url: str) -> None:
    async with Connection(url) as connection, asyncio.timeout(10):
        received, _ = await asyncio.gather(consume(connection, 5), produce(connection, range(1, 6)))
        print("received", sorted(received))
        await connection.delete(squares)


def main(url: str = "memory://") -> None:
    asyncio.run(run(url))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
