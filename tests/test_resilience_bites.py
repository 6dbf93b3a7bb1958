"""The suite about resilience catches transports that have none: one deliberate fault each, and a promise it breaks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import create_engine

from kombu.exceptions import KombuError, PublishUncertain
from kombu.transport.base import TransportConnection
from kombu.transport.virtual.store import Delivery, Done, Envelope, Outcome
from kombu_sqlalchemy import metadata
from kombu_sqlalchemy.store import SQLAlchemyStore
from kombu_sqlalchemy.transport import Transport
from tests.instances import Instance, instance
from tests.resilience import Resilience
from tests.resilience.troubles import TROUBLES

TROUBLE = {trouble.name: trouble for trouble in TROUBLES}


class Faulty(Transport):
    """Its stores are ``Fault``."""

    Fault: type[SQLAlchemyStore] = SQLAlchemyStore

    def make_store(self) -> SQLAlchemyStore:
        store = super().make_store()
        store.__class__ = self.Fault
        return store


class SaysNothingElse(SQLAlchemyStore):
    """Who publishes says that, and announces nothing: whatever is cut is a message."""

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        self.database.announce = lambda queues: None  # type: ignore[method-assign]
        super().put(items, version)


class ConfirmsBeforeItStores(Faulty):
    class Fault(SaysNothingElse):
        def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
            with suppress(KombuError):
                super().put(items, version)


class RepeatsWhatIsUncertain(Faulty):
    class Fault(SaysNothingElse):
        def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
            try:
                super().put(items, version)
            except PublishUncertain:
                super().put(items, version)


class DropsAcknowledgements(Faulty):
    class Fault(SQLAlchemyStore):
        def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
            super().settle([outcome for outcome in outcomes if not isinstance(outcome, Done)])
            return [True] * len(outcomes)


class ConsumesSilentlyNothing(Faulty):
    """Once it has lost its connection."""

    def establish_connection(self) -> TransportConnection:  # type: ignore[override]
        connection = super().establish_connection()
        drain, lost, never = connection.drain_events, threading.Event(), threading.Event()

        def drain_events(timeout: float | None = None) -> None:
            try:
                if not lost.is_set():
                    return drain(timeout)
            except KombuError:
                lost.set()
            never.wait(timeout)
            raise TimeoutError

        connection.drain_events = drain_events
        return connection


class WaitsForEver(Faulty):
    class Fault(SQLAlchemyStore):
        def open(self) -> None:
            self.database.answer_timeout = 3600.0
            super().open()


class Tried(Resilience):
    """On a server that all share, with less patience."""

    server = "postgresql"
    patience = 4.0
    lease = 1.0

    def __init__(self, transport: type[Transport], own: Instance) -> None:
        self.transport = transport
        self.own = own  # type: ignore[misc]

    @property
    def settings(self) -> dict[str, Any]:
        return {**super().settings, "transport": self.transport}

    @property
    def options(self) -> dict[str, object]:
        return {"lease": self.lease, "answer_timeout": self.silence}

    def url(self, port: int) -> str:
        return f"sqla+{engine_url(port)}"

    def try_promise(self, promise: str, *arguments: object) -> None:
        self.setup_method()
        try:
            getattr(self, promise)(*arguments)
        finally:
            self.teardown_method()


PUBLISH_CUT = "test_a_publish_that_is_cut_at_any_point_is_confirmed_only_if_it_is_stored"
ACKNOWLEDGING = "test_acknowledging_meanwhile_repeats_each_message_at_most_once"
ACKNOWLEDGEMENT_CUT = "test_an_acknowledgement_that_is_cut_at_any_point_repeats_its_message_at_most_once"
IDLE = "test_idle_consumers_go_on_by_themselves"
HANDLING = "test_a_handler_that_runs_meanwhile_is_repeated_at_most_once"
SILENCE = "test_whatever_has_a_limit_ends_when_the_server_says_nothing_any_more"

FAULTS: list[tuple[type[Faulty], str, Sequence[object]]] = [
    (ConfirmsBeforeItStores, PUBLISH_CUT, ["before"]),
    (RepeatsWhatIsUncertain, PUBLISH_CUT, ["after"]),
    (DropsAcknowledgements, ACKNOWLEDGING, [TROUBLE["slow"]]),
    (
        DropsAcknowledgements,
        ACKNOWLEDGEMENT_CUT,
        ["after"],
    ),
    (ConsumesSilentlyNothing, IDLE, [TROUBLE["reset"]]),
    (ConsumesSilentlyNothing, HANDLING, [TROUBLE["lost"]]),
    (WaitsForEver, IDLE, [TROUBLE["lost towards the client"]]),
    (WaitsForEver, SILENCE, []),
]


@pytest.fixture(scope="module")
def own() -> Iterator[Instance]:
    with instance("postgresql") as own:
        engine = create_engine(engine_url(own.port))
        metadata.create_all(engine)
        engine.dispose()
        yield own


@pytest.mark.server("postgresql")
@pytest.mark.parametrize(
    ("transport", "promise", "arguments"),
    [pytest.param(*fault, id=f"{fault[0].__name__}-{fault[1]}") for fault in FAULTS],
)
def test_a_fault_breaks_the_promise(
    own: Instance, transport: type[Faulty], promise: str, arguments: Sequence[object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    with pytest.raises((AssertionError, KombuError)):
        Tried(transport, own).try_promise(promise, *arguments)


@pytest.mark.server("postgresql")
def test_a_process_that_takes_without_a_lease_breaks_the_promise_about_kills(own: Instance) -> None:
    tried = Tried(Transport, own)
    tried.victim_setup = f"{__name__}:take_without_lease"  # type: ignore[misc]
    with pytest.raises(AssertionError, match="nothing came of it"):
        tried.try_promise("test_what_a_killed_process_had_in_hand_is_back_within_its_lease_and_counted")


def take_without_lease() -> None:
    """In the process that is killed."""
    claim = SQLAlchemyStore.claim

    def take(store: SQLAlchemyStore, wants: Any, lease: float) -> list[Delivery]:
        found = claim(store, wants, lease)
        store.settle([Done(delivery.lease) for delivery in found])
        return found

    SQLAlchemyStore.claim = take  # type: ignore[method-assign]


def engine_url(port: int) -> str:
    return f"postgresql+psycopg://kombu@127.0.0.1:{port}/kombu"
