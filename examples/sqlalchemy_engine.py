"""Let Kombu use an engine that the program has.

On SQLite the engine decides what a commit waits for: with ``synchronous=NORMAL`` it does not wait for the disk, which
is faster, and a loss of power may take the last messages. The second set of tables is called ``jobs_…``.

Prints::

    by an engine of Kombu's: resize photo.png
    by the program's engine: resize photo.png
"""

import sys
from typing import Any

from sqlalchemy import create_engine, event

from kombu import Connection, Queue
from kombu.exceptions import KombuError
from kombu_sqlalchemy import make_metadata

work = Queue("work")


def main(url: str = "sqla+sqlite:///shop.sqlite3") -> None:
    with Connection(url) as connection:
        print("by an engine of Kombu's:", publish_and_get(connection))

    engine = create_engine(url.partition("+")[2])
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", prepare)
    options = {"engine": engine, "table_prefix": "jobs_", "create_tables": True}
    with Connection("sqla://", transport_options=options) as connection:
        print("by the program's engine:", publish_and_get(connection))
    make_metadata("jobs_").drop_all(engine)
    engine.dispose()


def publish_and_get(connection: Connection) -> str:
    connection.Producer().publish("resize photo.png", "work", declare=[work])
    message = work(connection).get()
    assert message is not None
    message.ack()
    work(connection).delete()
    return str(message.payload)


def prepare(connection: Any, record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
