"""What the tests of several modules are given: a place of their own on a server, and an authority for certificates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import rabbitmq, redises
from tests.aws import Region
from tests.certificates import Authority


@pytest.fixture
def prefix() -> Iterator[str]:
    """Of keys in Redis, which are removed at the end."""
    made = redises.new_prefix()
    yield made
    redises.remove(made)


@pytest.fixture
def region() -> Iterator[Region]:
    """Of SQS: its queues are deleted at the end."""
    made = Region()
    yield made
    made.clean_up()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A virtual host of RabbitMQ."""
    with rabbitmq.virtual_host() as made:
        yield made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
