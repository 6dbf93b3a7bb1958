"""A program without Django, for the tests: answers what it gets through ``sqla+…``.

``python -m tests.echo URL COUNT`` declares the queue ``questions``, says so on its standard output, and puts what
comes into it, with its headers, into the queue ``answers``.
"""

from __future__ import annotations

import sys

from kombu import Connection, Message, Queue


def main(url: str, count: int) -> None:
    with Connection(url) as connection:
        questions = Queue("questions")(connection)
        questions.declare()
        producer = connection.Producer()

        def answer(body: object, message: Message) -> None:
            priority = message.properties.get("priority", 0)
            producer.publish({"answer": body}, "answers", headers=message.headers, priority=priority)
            message.ack()

        with connection.Consumer(questions, callbacks=[answer]):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            for _ in range(count):
                connection.drain_events(timeout=60)
    assert "django" not in sys.modules


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
