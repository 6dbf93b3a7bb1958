"""Who uses a queue: a list in a document of the queue's own, with the end of its life. Times are whole microseconds.

::

    _id       u:<number>
    name      the queue's, for people
    declared  when
    users     those who use it, in the order they came: {who, consumer, until}
    ends      when nobody will have used it for too long; null where that does not end it
    over      it has ended: for good, whatever a clock says
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.transport.couchdb.documents import SECOND, Document
from kombu.transport.virtual.store import QueueSpec, User


def id_of(number: str) -> str:
    return f"u:{number}"


def nobody(number: str, queue: QueueSpec, now: int) -> Document:
    """A new queue's."""
    life = queue.first_life
    ends = None if life is None else now + _micro(life)
    return {"_id": id_of(number), "name": queue.name, "declared": now, "users": [], "ends": ends}


def is_over(doc: Mapping[str, Any], now: int) -> bool:
    """Whether nobody may come to the queue any more."""
    return bool(doc.get("over")) or (doc["ends"] is not None and doc["ends"] <= now)


def ended(doc: Document) -> Document:
    return {**doc, "over": True}


def there(doc: Mapping[str, Any], queue: str, now: int) -> list[User]:
    """In the order they came."""
    return [User(queue, each["who"], each["consumer"]) for each in doc["users"] if each["until"] > now]


def coming(doc: Document, user: User, queue: QueueSpec, seconds: float, now: int) -> Document:
    """Those who were away too long have lost their place; with 0 seconds it is a moment's use."""
    life = queue.unused_life
    if not seconds:
        return {**doc, "ends": max(doc["ends"] or 0, now + _micro(life))} if life else doc
    users = [each for each in doc["users"] if each["until"] > now]
    mine = {"who": user.who, "consumer": user.consumer, "until": now + _micro(seconds)}
    if any(_is(each, user) for each in users):
        users = [mine if _is(each, user) else each for each in users]
    else:
        users.append(mine)
    ends = None if life is None else max(each["until"] for each in users) + _micro(life)
    return {**doc, "users": users, "ends": ends}


def leaving(doc: Document, user: User, queue: QueueSpec, now: int) -> Document:
    """Who was not there changes nothing."""
    others = [each for each in doc["users"] if not _is(each, user)]
    if len(others) == len(doc["users"]):
        return doc
    doc, life = {**doc, "users": others}, queue.unused_life
    staying = [each for each in others if each["until"] > now]
    if user.consumer and queue.auto_delete and not any(each["consumer"] for each in staying):
        return ended(doc)
    if life is None or staying:
        return doc
    return {**doc, "ends": now + _micro(life)} if life else ended(doc)


def _is(entry: Mapping[str, Any], user: User) -> bool:
    return bool(entry["who"] == user.who and entry["consumer"] == user.consumer)


def _micro(seconds: float) -> int:
    return round(seconds * SECOND)
