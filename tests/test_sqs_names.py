"""Any AMQP name becomes a name that AWS takes, no two become the same, and the queue tells its real one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

pytest.importorskip("boto3")

from kombu.testing.case import ALIKE_NAMES, HOSTILE_NAMES
from kombu.transport.sqs.names import TOPOLOGY, is_fifo, mapped, name_tags, real_name
from kombu.transport.sqs.topics import topic_name

AWS_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}\Z|[A-Za-z0-9_-]{1,75}\.fifo\Z")
TAG_KEY = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,128}\Z")
TAG_VALUE = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,256}\Z")
PREFIXES = ("", "shop-", "p" * 40)


def names() -> Iterator[str]:
    """Hostile ones, and ones that differ little, long and short, of letters that AWS takes and of others."""
    yield from HOSTILE_NAMES
    yield from ALIKE_NAMES
    yield from (TOPOLOGY, f"{TOPOLOGY}.fifo", ".fifo", "a.fifo", "a-fifo", "a.fifo.fifo", "aws:tag", "-", "_", " ")
    chance = random.Random(6)
    for _ in range(3000):
        letters = chance.choice(("ab", "ab-", "ab.", "aB_- .é📦"))
        length = chance.choice((1, 2, 3, 75, 79, 80, 81, 255))
        yield "".join(chance.choices(letters, k=length)) + chance.choice(("", "", ".fifo"))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_name_becomes_one_that_aws_takes_and_no_two_the_same(prefix: str) -> None:
    found: dict[str, str] = {}
    for name in names():
        address = mapped(name, prefix)
        assert AWS_NAME.match(address), (name, address)
        assert found.setdefault(address, name) == name
        assert is_fifo(address) == is_fifo(name)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_a_name_was_mapped_to_is_no_other_queue(prefix: str) -> None:
    """Somebody may call a queue just so."""
    for name in list(names())[:300]:
        address = mapped(name, prefix)
        inner = address.removeprefix(prefix)
        assert mapped(inner, prefix) != address or inner == name


def test_the_name_that_aws_takes_stays() -> None:
    assert mapped("orders") == "orders"
    assert mapped("orders.fifo", "shop-") == "shop-orders.fifo"
    assert mapped("order.created").startswith("order-created-k")


def test_no_queue_is_in_the_place_of_the_topology() -> None:
    assert mapped(f"{TOPOLOGY}.fifo", "shop-") != f"shop-{TOPOLOGY}.fifo"


def test_no_exchange_becomes_a_fifo_topic() -> None:
    assert not is_fifo(topic_name("news.fifo", "shop-"))
    assert topic_name("news", "shop-") == "shop-news"
    assert len({topic_name(name, "") for name in names()}) == len(set(names()))


def test_the_tags_tell_the_real_name() -> None:
    for name in names():
        tags = name_tags(name)
        assert real_name({"team": "shop", **tags}) == name
        assert all(TAG_KEY.match(key) and TAG_VALUE.match(value) for key, value in tags.items()), tags
        assert len(tags) <= 6
    assert real_name({"team": "shop"}) is None
