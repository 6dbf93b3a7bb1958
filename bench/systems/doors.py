"""This library, by each of its doors to a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from systems.client import Client
from systems.place import HOST, USER, Place
from systems.system import Body

from kombu import Connection


class Door(Client):
    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self.producer.publish_many(bodies)


class SQLAlchemyDoor(Door):
    def make(self) -> None:
        self.connection = self.connect(create_tables=True)
        self.connection.connect()
        self.close()

    def connect(self, **options: Any) -> Connection:
        if self.place.kind == "sqlite" and self.place.synchronous != "FULL":
            return Connection("sqla://", transport_options={"engine": _less_durable(self.place), **options})
        return Connection(f"sqla+{self.place.url()}", transport_options=options)


class DjangoDoor(Door):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        import django
        from django.conf import settings

        settings.configure(
            INSTALLED_APPS=["kombu_django"],
            DATABASES={"default": _settings(place)},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        )
        django.setup()

    def make(self) -> None:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def connect(self) -> Connection:
        return Connection("django://default")


def _less_durable(place: Place) -> Any:
    """An engine as an application makes one that wants synchronous=NORMAL."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    engine = create_engine(place.url(), poolclass=NullPool, connect_args={"timeout": 20, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={place.synchronous}")

    return engine


def _settings(place: Place) -> dict[str, Any]:
    if place.kind == "sqlite":
        options = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={place.synchronous};",
        }
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": place.name, "OPTIONS": options}
    server = {"NAME": place.name, "HOST": HOST, "PORT": place.port, "USER": USER, "CONN_MAX_AGE": None}
    if place.kind == "mariadb":
        return {"ENGINE": "django.db.backends.mysql", "OPTIONS": {"charset": "utf8mb4"}, **server}
    return {"ENGINE": "django.db.backends.postgresql", **server}
