"""A transport is found by its scheme or its place; one that is not there, or does not load, is named."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kombu import Connection, Queue
from kombu.exceptions import KombuError, MissingDriver, UnknownTransport
from kombu.transport import get_transport_cls, resolve_transport
from kombu.transport.memory import Transport as Memory


class NotATransport:
    """Named by mistake."""


def test_an_unknown_scheme_names_what_is_close_and_what_there_is() -> None:
    with pytest.raises(UnknownTransport, match=r"'memry'.*did you mean 'memory'.*django, filesystem, memory"):
        Connection("memry://").connect()
    with pytest.raises(UnknownTransport, match=r"'smoke-signals': installed are .*memory"):
        get_transport_cls("smoke-signals")


def test_a_transport_may_be_named_by_its_place() -> None:
    assert resolve_transport("kombu.transport.memory:Transport") is Memory
    assert Connection("kombu.transport.memory.Transport://x").get_transport_cls() is Memory
    assert Connection("x", transport="kombu.transport.memory:Transport").get_transport_cls() is Memory


@pytest.mark.parametrize(
    "place",
    ["kombu.no_such_module:Transport", "kombu.transport.memory:NoSuchClass", f"{__name__}:NotATransport", "no.where:T"],
)
def test_a_place_without_a_transport_is_named(place: str) -> None:
    with pytest.raises(UnknownTransport) as raised:
        resolve_transport(place)
    assert place in str(raised.value)


def test_what_is_installed_is_looked_up_once_and_not_by_each_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[dict[str, object]] = []
    entry_points = importlib.metadata.entry_points
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda **sought: looks.append(sought) or entry_points(**sought)
    )
    monkeypatch.syspath_prepend(tmp_path)  # as it has never been looked up
    for number in range(3):
        with Connection(f"sqla+sqlite:///{tmp_path}/{number}.db") as connection:
            connection.connect()
    assert looks == [{"group": "kombu.transports"}]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a distribution onto ``sys.path`` with a transport ``carrier`` whose module has this source, after that was
    looked for."""

    def install(distribution: str, source: str) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UnknownTransport, match=r"'carrier'"):
            get_transport_cls("carrier")
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[kombu.transports]\ncarrier = carrier_pigeon:Transport [pigeons]\n")
        (tmp_path / "carrier_pigeon.py").write_text(source)
        importlib.invalidate_caches()

    yield install
    sys.modules.pop("carrier_pigeon", None)


@pytest.mark.parametrize("distribution", ["kombu", "acme-kombu"])
def test_a_missing_driver_says_what_to_install(distribution: str, install: Callable[..., None]) -> None:
    install(distribution, "import pigeon_driver\n")
    with pytest.raises(MissingDriver) as raised:
        Connection("carrier://coop").connect()
    assert "'pigeon_driver'" in str(raised.value)
    assert f"pip install '{distribution}[pigeons]'" in str(raised.value)


def test_a_transport_of_another_distribution_is_found(install: Callable[..., None], name: str) -> None:
    install("acme-kombu", "from kombu.transport.memory import Transport\n")
    with Connection(f"carrier://{name}") as connection:
        assert Queue("orders")(connection).declare() == "orders"


@pytest.mark.parametrize(
    "source", ["from os import no_such_function\n", "import kombu_no_such_package\n", "Transport = 5\n", ""]
)
def test_a_transport_that_does_not_load_is_an_error_of_ours(source: str, install: Callable[..., None]) -> None:
    install("acme-kombu", source)
    with pytest.raises(KombuError, match=r"carrier"):
        Connection("carrier://coop").connect()
