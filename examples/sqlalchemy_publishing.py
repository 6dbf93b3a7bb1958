"""Publish in the transaction of a SQLAlchemy session.

The order and the message about it are stored together, or neither is. The first argument may be another URL of a
database; what is published is there for whoever consumes, also with Django.

Prints::

    rolled back: 0 orders, 0 messages
    committed: 1 orders, 1 messages
"""

import sys

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError

shop = Exchange("shop", "topic")
invoices = Queue("invoices", shop, routing_key="order.*")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "example_orders"
    id: Mapped[int] = mapped_column(primary_key=True)


def main(url: str = "sqla+sqlite:///shop.sqlite3") -> None:
    with Connection(url) as connection:
        queue = invoices(connection)
        queue.declare()
        producer = connection.Producer(exchange=shop, routing_key="order.made")
        engine = create_engine(url.partition("+")[2])
        Base.metadata.create_all(engine)
        for said, end in [("rolled back", Session.rollback), ("committed", Session.commit)]:
            with Session(engine) as session:
                session.add(order := Order())
                session.flush()
                producer.publish({"id": order.id}, within=session)
                end(session)
                orders = session.scalar(select(func.count()).select_from(Order))
            print(f"{said}: {orders} orders, {queue.queue_declare(passive=True).message_count} messages")
        Base.metadata.drop_all(engine)
        engine.dispose()
        queue.delete()
        shop(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
