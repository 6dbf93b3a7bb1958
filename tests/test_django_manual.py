"""An application that commits itself, without ``atomic``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction

from kombu import Connection, Queue
from kombu.exceptions import NotSupported
from tests.places import Place, places

ON_DJANGO = places("django-sqlite", "django-postgresql", "django-mariadb")


@contextmanager
def committing_oneself(alias: str) -> Iterator[None]:
    transaction.set_autocommit(False, using=alias)
    try:
        yield
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)


@pytest.mark.parametrize("place", ON_DJANGO, indirect=True)
class TestManualCommits:
    def test_what_is_published_is_part_of_the_applications_transaction(self, place: Place) -> None:
        alias = place.url.removeprefix("django://")
        producer = place.connect().Producer()
        Queue("orders")(producer.channel).declare()
        with committing_oneself(alias):
            producer.publish("rolled back", "orders")
            transaction.rollback(using=alias)
            producer.publish("committed", "orders")
            producer.publish_many(["with it"], routing_key="orders")
            assert place.bodies() == []
            transaction.commit(using=alias)
            assert place.bodies() == ["committed", "with it"]

    def test_others_do_not_publish_within_it(self, place: Place) -> None:
        """Whoever has the turn: it is this thread's own connection."""
        alias = place.url.removeprefix("django://")
        connection = place.connect()
        Queue("orders")(connection).declare()
        store = connection.channel().connection.store  # type: ignore[attr-defined]
        with committing_oneself(alias):
            assert store.in_transaction
            assert place.in_background(lambda: store.in_transaction).result() is False

    def test_settings_without_autocommit_are_refused(self, place: Place) -> None:
        with pytest.raises(NotSupported, match="AUTOCOMMIT=False"):
            Connection(place.aliased(AUTOCOMMIT=False)).connect()
