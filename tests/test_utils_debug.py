"""Seeing what goes on: every call of an object in the log, and the library's loggers on standard error."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from kombu.utils.debug import Logwrapped, setup_logging


class Channel:
    number = 7

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def __repr__(self) -> str:
        return "<Channel>"

    def publish(self, body: str, key: str = "") -> str:
        """Publishes."""
        return body + key


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("kombu.tests.debug")
    yield made
    made.handlers.clear()
    made.setLevel(logging.NOTSET)


def test_every_call_is_logged_and_made(caplog: pytest.LogCaptureFixture) -> None:
    wrapped = Logwrapped(Channel(), "kombu.channel", "[{0.number}] ")
    with caplog.at_level(logging.DEBUG, "kombu.channel"):
        assert wrapped.publish("a", key="b") == "ab"
    assert [record.getMessage() for record in caplog.records] == ["[7] publish('a', key='b')"]
    assert wrapped.publish.__doc__ == "Publishes."


def test_all_else_is_the_objects_own(caplog: pytest.LogCaptureFixture, logger: logging.Logger) -> None:
    channel = Channel()
    wrapped = Logwrapped(channel, logger)
    with caplog.at_level(logging.DEBUG, logger.name):
        assert wrapped.number == 7
        assert wrapped.__enter__() is channel
    assert caplog.records == []
    assert repr(wrapped) == "<Channel>"
    assert "publish" in dir(wrapped)
    with pytest.raises(AttributeError, match="consume"):
        _ = wrapped.consume


def test_loggers_are_made_to_write(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(logging.INFO, [logger.name])
    logger.debug("too small")
    logger.info("connected")
    assert capsys.readouterr().err == "connected\n"


def test_without_a_level_everything_is_written(logger: logging.Logger) -> None:
    setup_logging(None, [logger.name])
    assert logger.isEnabledFor(logging.DEBUG)
