"""What is wrong in the settings shows before anything runs, with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from kombu import Message, Queue
from kombu_django import consumer, publish
from kombu_django.checks import check_consumers, check_settings

pytestmark = pytest.mark.usefixtures("registered")


def problems(kombu: object) -> list[CheckMessage]:
    with override_settings(KOMBU=kombu):
        return [*check_settings(None), *check_consumers(None)]


def test_good_settings_have_no_problems() -> None:
    assert problems({"default": {"URL": "django://default", "TRANSPORT_OPTIONS": {"lease": 5}}}) == []


@pytest.mark.parametrize(
    ("kombu", "identity", "text"),
    [
        ([], "kombu.E001", "must be a dict"),
        ({"default": "django://default"}, "kombu.E002", "must be a dict with the key 'URL'"),
        ({"default": {}}, "kombu.E002", "'URL' is missing"),
        ({"default": {"URL": "django://default", "OUTBOKS": True}}, "kombu.E002", "unknown key 'OUTBOKS'"),
        ({"default": {"URL": "django://default", "OUTBOX": "yes"}}, "kombu.E002", "'OUTBOX' must be True or False"),
        ({"default": {"URL": "django://nowhere"}}, "kombu.E002", "database 'nowhere'"),
        ({"default": {"URL": "django://default", "DATABASE": "gone"}}, "kombu.E002", "database 'gone'"),
        ({"default": {"URL": "djnago://default"}}, "kombu.E003", "did you mean 'django'"),
        ({"default": {"URL": "amqp://u:secret@host:notaport//"}}, "kombu.E002", "port"),
        (
            {"default": {"URL": "django://default", "TRANSPORT_OPTIONS": {"leese": 3}}},
            "kombu.E004",
            "unknown transport option 'leese'",
        ),
        (
            {"default": {"URL": "django://default", "TRANSPORT_OPTIONS": {"lease": "long"}}},
            "kombu.E004",
            "lease='long' is not a number",
        ),
    ],
)
def test_a_wrong_setting_is_named(kombu: object, identity: str, text: str) -> None:
    [problem] = problems(kombu)
    assert problem.id == identity
    assert text in problem.msg
    assert "secret" not in problem.msg


def test_a_consumer_of_an_unknown_connection_is_named() -> None:
    @consumer(Queue("orders"), using="nowhere")
    def handle(body: Any, message: Message) -> None: ...

    [problem] = problems({"default": {"URL": "django://default"}})
    assert problem.id == "kombu.E010"
    assert "handle uses the connection 'nowhere'" in problem.msg


def test_two_consumers_of_one_queue_are_refused() -> None:
    @consumer(Queue("orders"))
    def one(body: Any, message: Message) -> None: ...

    with pytest.raises(ImproperlyConfigured, match=r"'orders'.*two consumers"):

        @consumer(Queue("orders"))
        def two(body: Any, message: Message) -> None: ...


def test_publishing_to_an_unknown_connection_names_those_that_are_known() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'nowhere'.*default, far"):
        publish(1, using="nowhere")


def test_sqlite_without_the_options_for_many_writers_is_a_warning() -> None:
    from django.db import connections

    options = connections["default"].settings_dict["OPTIONS"]
    taken = {name: options.pop(name) for name in ("transaction_mode", "init_command")}
    try:
        found = problems({"default": {"URL": "django://default"}})
    finally:
        options.update(taken)
    assert [problem.id for problem in found] == ["kombu.W001", "kombu.W002"]
