"""Handle each message exactly once, with a SQLAlchemy session.

What the handler stores and the acknowledgement are one transaction. The first time it fails, and neither is there.

Prints::

    delivery 1 failed: the printer has no paper
    delivery 2 went well
    1 invoice
"""

import sys

from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, func, insert, select
from sqlalchemy.orm import Session

from kombu import Connection, Message, Queue
from kombu.exceptions import KombuError

orders = Queue("orders")
invoices = Table("example_invoices", MetaData(), Column("order_id", Integer))


def handle(engine: Engine, message: Message) -> None:
    delivery = message.delivery_info["delivery_count"]
    try:
        with Session(engine) as session, session.begin():
            session.execute(insert(invoices).values(order_id=message.payload["id"]))
            message.ack(within=session)
            if delivery == 1:
                raise OSError("the printer has no paper")
    except OSError as error:
        print(f"delivery {delivery} failed: {error}")
        message.requeue()
    else:
        print(f"delivery {delivery} went well")
        message.ack()


def main(url: str = "sqla+sqlite:///shop.sqlite3") -> None:
    with Connection(url) as connection:
        connection.Producer().publish({"id": 7}, "orders", declare=[orders])
        engine = create_engine(url.partition("+")[2])
        invoices.create(engine)
        with connection.Consumer(orders, on_message=lambda message: handle(engine, message)):
            for _ in range(2):
                connection.drain_events(timeout=5)
        with engine.connect() as rows:
            print(rows.scalar(select(func.count()).select_from(invoices)), "invoice")
        invoices.drop(engine)
        engine.dispose()
        orders(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
