"""Each system, imported only where it is wanted: an environment has only what its own one needs."""

from __future__ import annotations

from systems.place import Place
from systems.system import System


def system(name: str, place: Place) -> System:
    """On its place."""
    match name, place.kind:
        case "sqla", _:
            from systems.doors import SQLAlchemyDoor

            return SQLAlchemyDoor(place)
        case "django", _:
            from systems.doors import DjangoDoor

            return DjangoDoor(place)
        case "5.7", _:
            from systems.predecessor import Predecessor

            return Predecessor(place)
        case "pgmq", _:
            from systems.pgmq_client import PgmqClient

            return PgmqClient(place)
        case "raw", "postgresql":
            from systems.raw_postgresql import RawPostgreSQL

            return RawPostgreSQL(place)
        case "raw", "mariadb":
            from systems.raw_mariadb import RawMariaDB

            return RawMariaDB(place)
        case "raw", "rabbitmq":
            from systems.raw_rabbitmq import RawRabbitMQ

            return RawRabbitMQ(place)
        case "raw pika", "rabbitmq":
            from systems.raw_pika import RawPika

            return RawPika(place)
        case ("amqp" | "pika") as scheme, "rabbitmq":
            from systems.natives import Native

            return Native(place, scheme)
        case "aio-pika", "rabbitmq":
            from systems.aio_pika_client import AioPika

            return AioPika(place)
        case (("raw" | "raw1"), "redis"):
            from systems.raw_redis import RawRedis, RawRedisSingly

            return RawRedis(place) if name == "raw" else RawRedisSingly(place)
        case "redis", _:
            from systems.natives import Native

            return Native(place, "redis")
        case "raw", "beanstalk":
            from systems.raw_beanstalk import RawBeanstalk

            return RawBeanstalk(place)
        case "beanstalk", _:
            from systems.natives import Native

            return Native(place, "beanstalk")
        case "raw", "sqs":
            from systems.raw_sqs import RawSQS

            return RawSQS(place)
        case "raw", "mongodb":
            from systems.raw_mongodb import RawMongoDB

            return RawMongoDB(place)
        case "raw", "couchdb":
            from systems.raw_couchdb import RawCouchDB

            return RawCouchDB(place)
        case (("sqs+http" | "mongodb" | "couchdb"), _):
            from systems.natives import Native

            return Native(place, name)
        case "raw", "sqlite":
            from systems.raw_sqlite import RawSQLite

            return RawSQLite(place)
    raise SystemExit(f"no system {name!r} on {place.kind}")
