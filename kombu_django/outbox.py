"""The outbox: messages written in the application's transaction, and the claim with which a relay takes them.

One relay at a time works on a connection's outbox, in the order of writing: a claim takes the oldest rows, or
nothing while any of those is leased or waits for its next attempt.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from kombu.exceptions import PreconditionFailed
from kombu.sql import outbox_sql, waiting
from kombu.sql.waiting import Waiter
from kombu.transport.base import Content, Publication
from kombu.utils import json
from kombu_django.conf import Config
from kombu_django.models import Outbox
from kombu_django.store.database import DjangoDatabase

_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Row:
    """A claimed row: its id, the claim's token, what to publish, and how often that was tried before."""

    id: int
    token: int
    publication: Publication
    attempts: int


def write(config: Config, publication: Publication, key: str) -> None:
    """Store a message in the outbox, as part of the open transaction of ``config.database`` if there is one.

    Raises :class:`~kombu.exceptions.PreconditionFailed` for names that are too long and
    :class:`~kombu.exceptions.EncodeError` for headers that have no JSON form.
    """
    names = {"exchange": publication.exchange, "routing_key": publication.routing_key, "key": key}
    for name, value in names.items():
        if len(value) > _LONGEST_NAME:
            raise PreconditionFailed(f"{name} has {_LONGEST_NAME} characters at most, not {len(value)}")
        if "\x00" in value:
            raise PreconditionFailed(f"{name} {value!r} cannot have the character NUL")
    values: list[Any] = [
        config.alias,
        publication.exchange,
        publication.routing_key,
        key,
        publication.mandatory,
        json.dumps(dict(publication.content.properties)),
        publication.content.body,
        round(publication.delay * 1e6),
    ]
    database = _database(config)
    with database.session():
        database.run(outbox_sql.write(database.dialect), values)


def claim(config: Config, limit: int, lease: float) -> list[Row]:
    """Take up to ``limit`` of the oldest rows for ``lease`` seconds, oldest first; none while another has them."""
    database, token = _database(config), random.getrandbits(63)
    claiming = [round(lease * 1e6), token]
    with database.session():
        if database.dialect.updates_return:
            rows = database.fetch(outbox_sql.claim(database.dialect), [config.alias, limit, *claiming, config.alias])
        else:
            rows = _lock_and_take(database, config.alias, limit, claiming)
    return [_row(row, token) for row in sorted(rows, key=lambda row: int(row[0]))]


def done(config: Config, rows: Sequence[Row]) -> int:
    """Remove what the broker has stored; answers how many rows were still this claim's."""
    parameters = [config.alias, rows[0].token, *(row.id for row in rows)]
    return _run(config, outbox_sql.done(_database(config).dialect, len(rows)), parameters)


def postpone(config: Config, rows: Sequence[Row], seconds: float, error: str) -> None:
    """Keep the rows for another attempt, in ``seconds``."""
    parameters = [round(seconds * 1e6), error, config.alias, rows[0].token, *(row.id for row in rows)]
    _run(config, outbox_sql.postpone(_database(config).dialect, len(rows)), parameters)


def fail(config: Config, row: Row, error: str) -> None:
    """Put a row that the broker refuses aside, with the reason, so that the others can go on."""
    _run(config, outbox_sql.fail(_database(config).dialect), [error, config.alias, row.token, row.id])


def due_in(config: Config) -> float | None:
    """Seconds until the oldest row may be taken; None when the outbox is empty."""
    database = _database(config)
    with database.session():
        rows = database.fetch(outbox_sql.due(database.dialect), [config.alias])
    return int(rows[0][0]) / 1e6 if rows else None


def wait(config: Config, waiter: Waiter, seconds: float) -> None:
    """Return when there is something to take, after ``seconds`` in any case."""
    with _database(config).session():
        waiting.wait(waiter, (), lambda: due_in(config), seconds)


def waiter(config: Config) -> Waiter:
    """What :func:`wait` waits with; for one thread."""
    return _database(config).waiter()


def try_again(rows: QuerySet[Outbox]) -> int:
    """Let a relay take what the broker refused once more; answers how many rows that was."""
    refused = rows.filter(failed_at__isnull=False)
    return refused.update(failed_at=None, lease_token=None, available_at=0, attempts=0, error="")


def _row(row: tuple[Any, ...], token: int) -> Row:
    id, exchange, routing_key, mandatory, properties, body, delay, attempts = row
    content = Content(bytes(body), json.loads(properties))  # type: ignore[arg-type]
    left = max(int(delay) / 1e6, 0.0)
    return Row(id, token, Publication(content, exchange, routing_key, bool(mandatory), left), attempts)


def _lock_and_take(database: DjangoDatabase, alias: str, limit: int, claiming: list[int]) -> list[tuple[Any, ...]]:
    with database.transaction():
        locked = database.fetch(outbox_sql.oldest(database.dialect), [alias, limit])
        if not locked or not all(row[-1] for row in locked):
            return []
        taking = [*claiming, alias, *(row[0] for row in locked)]
        database.run(outbox_sql.take(database.dialect, len(locked)), taking)
    return [(*row[:7], row[7] + 1) for row in locked]


def _run(config: Config, statement: str, parameters: Sequence[Any]) -> int:
    database = _database(config)
    with database.session():
        return database.run(statement, parameters)


def _database(config: Config) -> DjangoDatabase:
    return DjangoDatabase(config.database)
