"""Importing costs what is used, and imports go down the floors only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kombu

ROOT = Path(__file__).parent.parent
DRIVERS = ("django", "sqlalchemy", "alembic", "redis", "amqp", "pika", "boto3", "pymongo", "httpx", "greenstalk")
OURS = ("kombu_django", "kombu_sqlalchemy")
OPTIONAL = ("yaml", "msgpack", "brotli", "zstandard")
HEAVY = ("json", "logging", "importlib.metadata", "asyncio", "unittest", "email", "ssl", "pickle")


def loaded(*statements: str) -> set[str]:
    """The names of all modules that a new interpreter has after these statements."""
    program = "; ".join(["import sys", *statements, "print(*sys.modules)"])
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(made.stdout.split())


def test_importing_kombu_imports_next_to_nothing() -> None:
    already = loaded()
    added = loaded("import kombu") - already
    assert added.isdisjoint((*DRIVERS, *OURS, *OPTIONAL, *HEAVY))
    assert {name for name in added if name.startswith("kombu.")} == set()


def test_working_with_one_transport_imports_no_other_driver() -> None:
    added = loaded(
        "from kombu import Connection, Queue",
        "connection = Connection('memory://imports')",
        "Queue('q')(connection).declare()",
        "connection.Producer().publish({'id': 1}, routing_key='q')",
        "assert Queue('q')(connection).get().payload == {'id': 1}",
        "connection.close()",
    )
    assert "kombu.transport.memory" in added
    assert added.isdisjoint((*DRIVERS, *OURS, *OPTIONAL))


@pytest.mark.parametrize("name", kombu.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(kombu, name) is not None
    assert name in dir(kombu)


def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="'kombu' has no attribute 'Conection'"):
        _ = kombu.Conection


def test_the_version_can_be_compared() -> None:
    assert kombu.version_info[:3] == kombu.VERSION
    assert kombu.__version__ == ".".join(map(str, kombu.VERSION))


def test_imports_go_down_the_floors_only() -> None:
    """The contracts stand in pyproject.toml; ``make lint`` shows what breaks them."""
    program = Path(sys.executable).parent / "lint-imports"
    made = subprocess.run([program, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "0 broken" in made.stdout
