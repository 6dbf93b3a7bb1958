"""Every transport of the specification is there by name; one whose driver is missing says what to install."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
TRANSPORTS: dict[str, str] = PROJECT["entry-points"]["kombu.transports"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

SCHEMES = {
    "memory": None,
    "filesystem": None,
    "amqp": "amqp",
    "amqps": "amqp",
    "pyamqp": "amqp",
    "amqplib": "amqp",
    "pika": "pika",
    "syncpika": "pika",
    "redis": "redis",
    "rediss": "redis",
    "redis+socket": "redis",
    "sentinel": "redis",
    "sqs": "boto3",
    "SQS": "boto3",
    "sqs+http": "boto3",
    "mongodb": "pymongo",
    "mongodb+srv": "pymongo",
    "couchdb": "httpx",
    "couchdbs": "httpx",
    "beanstalk": "greenstalk",
    "django": "django",
    "sqla": "sqlalchemy",
    "sqlalchemy": "sqlalchemy",
}
"""The package that each needs."""

TRY_ALL = """
import json, sys
missing, schemes = json.load(sys.stdin)
for package in missing:
    sys.modules[package] = None
from kombu import Connection
from kombu.exceptions import KombuError
told = {}
for scheme in schemes:
    try:
        Connection("localhost", transport=scheme).get_transport_cls()
    except KombuError as exc:
        told[scheme] = type(exc).__name__, str(exc)
    else:
        told[scheme] = "there", ""
print(json.dumps(told))
"""


@cache
def told_without_drivers() -> dict[str, tuple[str, str]]:
    """What an interpreter says that has none of the drivers, by scheme: the error and its text."""
    given = json.dumps([sorted({name for name in SCHEMES.values() if name}), sorted(TRANSPORTS)])
    made = subprocess.run(
        [sys.executable, "-W", "error", "-c", TRY_ALL], input=given, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return {scheme: (kind, text) for scheme, (kind, text) in json.loads(made.stdout).items()}


def test_every_transport_of_the_specification_has_its_names() -> None:
    assert SCHEMES.keys() - TRANSPORTS.keys() == set()


@pytest.mark.parametrize("scheme", sorted(TRANSPORTS))
def test_a_transport_whose_driver_is_missing_says_what_to_install(scheme: str) -> None:
    _, bracket, extra = TRANSPORTS[scheme].rstrip("]").partition(" [")
    kind, text = told_without_drivers()[scheme]
    if not bracket:
        assert kind == "there"
        return
    assert kind == "MissingDriver", text
    assert f"pip install 'kombu[{extra}]'" in text
    named = text.partition("the package '")[2].partition("'")[0]
    assert named in {requirement.partition(">")[0].lower() for requirement in EXTRAS[extra]}


@pytest.mark.parametrize(("scheme", "package"), [each for each in SCHEMES.items() if each[1]])
def test_it_is_the_package_that_the_transport_is_for(scheme: str, package: str) -> None:
    assert f"needs the package '{package}'" in told_without_drivers()[scheme][1]
