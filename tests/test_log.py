"""Logging is silent until it is set up, and says then who speaks."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kombu import log
from kombu.log import LOG_LEVELS, Log, LogMixin, get_logger, get_loglevel, setup_logging
from kombu.utils.functional import lazy


class Shop(LogMixin):
    pass


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def test_a_logger_is_silent_until_somebody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    logger = get_logger("kombu.tests.silent")
    logger.propagate = False
    logger.error("nobody hears")
    assert capsys.readouterr().err == ""
    assert get_logger(logger) is get_logger("kombu.tests.silent") is logger
    assert len(logger.handlers) == 1


@pytest.mark.parametrize(("level", "number"), [("DEBUG", 10), ("warning", 30), ("WARN", 30), ("Fatal", 50), (15, 15)])
def test_a_level_is_found_by_its_name(level: str | int, number: int) -> None:
    assert get_loglevel(level) == number


def test_a_level_that_is_none_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"'LOUD'.*DEBUG"):
        get_loglevel("LOUD")


def test_levels_have_names_and_numbers() -> None:
    assert LOG_LEVELS["ERROR"] == logging.ERROR
    assert LOG_LEVELS[logging.WARNING] == "WARNING"
    assert LOG_LEVELS[logging.CRITICAL] == "CRITICAL"


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger as a new process has it; pytest's own handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield root
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)


def test_setting_up_writes_to_the_stream_from_the_level_on() -> None:
    stream = io.StringIO()
    with bare_root() as root:
        assert setup_logging("info", stream) is root
        logging.getLogger("shop").debug("small")
        logging.getLogger("shop").info("open")
    assert stream.getvalue() == "open\n"


def test_setting_up_writes_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    with bare_root():
        setup_logging(logfile=str(path))
        logging.getLogger("shop").warning("small")
        logging.getLogger("shop").error("closed")
    assert path.read_text() == "closed\n"


def test_setting_up_again_changes_nothing() -> None:
    with bare_root() as root:
        setup_logging("INFO", io.StringIO())
        handlers = root.handlers[:]
        setup_logging("DEBUG", io.StringIO())
        assert root.handlers == handlers
        assert root.level == logging.INFO


def test_each_level_has_its_verb(heard: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    for verb in (shop.debug, shop.info, shop.warn, shop.warning, shop.error, shop.critical):
        verb("open since %s", 9)
    assert {record.getMessage() for record in heard.records} == {"Shop - open since 9"}
    assert [record.levelno for record in heard.records] == [10, 20, 30, 30, 40, 50]
    assert {record.name for record in heard.records} == {"Shop"}


def test_a_single_argument_is_logged_as_it_is(heard: pytest.LogCaptureFixture) -> None:
    Shop().info("100 % sure, %s")
    Shop().info(ValueError("no"))
    assert heard.messages == ["Shop - 100 % sure, %s", "Shop - no"]


def test_what_is_lazy_is_made_only_when_it_is_logged(heard: pytest.LogCaptureFixture) -> None:
    made: list[int] = []

    def make() -> str:
        made.append(1)
        return "slow"

    shop = Shop()
    heard.set_level(logging.INFO, "Shop")
    shop.debug("a %s value", lazy(make))
    assert made == []
    shop.info("a %s value", lazy(make))
    assert heard.messages == ["Shop - a slow value"]


def test_a_traceback_is_logged_unless_it_is_not_wanted(
    heard: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for disabled in (False, True):
        monkeypatch.setattr(log, "DISABLE_TRACEBACKS", disabled)
        try:
            raise RuntimeError("no")
        except RuntimeError:
            Shop().error("failed", exc_info=True)
    assert [bool(record.exc_info) for record in heard.records] == [True, False]


def test_whether_a_level_is_on_can_be_asked(heard: pytest.LogCaptureFixture) -> None:
    heard.set_level(logging.WARNING, "Shop")
    assert Shop().is_enabled_for("error")
    assert not Shop().is_enabled_for(logging.INFO)
    assert Shop().get_loglevel("error") == logging.ERROR


def test_a_log_has_a_name_of_its_own_and_may_use_anothers_logger(heard: pytest.LogCaptureFixture) -> None:
    Log("till").info("open")
    Log("till", get_logger("shop")).info("closed")
    assert [(record.name, record.getMessage()) for record in heard.records] == [
        ("till", "till - open"),
        ("shop", "till - closed"),
    ]
