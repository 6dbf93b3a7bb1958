"""The table of transports says what came of the promises, in the page and back out of it."""

from __future__ import annotations

import pytest

from kombu.exceptions import NotSupported
from kombu.testing.transports import Feature, TransportCase, TransportConformance, Verdict, promises, table
from kombu.testing.transports.features import feature_of


class OfPriorities(TransportCase):
    """A suite of two promises; ``outcomes`` are what comes of them."""

    transport = "mine"
    outcomes: tuple[Exception | None, Exception | None] = (None, None)

    def setup_method(self) -> None:
        pass

    def teardown_method(self) -> None:
        pass

    def come(self, outcome: Exception | None) -> None:
        if outcome is not None:
            raise outcome

    @promises(Feature.PRIORITY)
    def test_the_first(self) -> None:
        self.come(self.outcomes[0])

    @promises(Feature.PRIORITY)
    def test_the_second(self) -> None:
        self.come(self.outcomes[1])


REFUSAL = NotSupported("queue 'orders': transport 'mine' does not keep the argument 'x-max-priority'")


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ((None, None), Verdict.KEPT),
        ((REFUSAL, REFUSAL), Verdict.REFUSED),
        ((None, REFUSAL), Verdict.IN_PART),
        ((None, AssertionError("no")), Verdict.BROKEN),
        ((REFUSAL, ZeroDivisionError()), Verdict.BROKEN),
        ((None, NotSupported("transport 'mine' has no such thing")), Verdict.BROKEN),
        ((None, NotSupported("no x-max-priority")), Verdict.BROKEN),
    ],
)
def test_a_feature_is_what_came_of_all_its_promises(
    outcomes: tuple[Exception | None, Exception | None], verdict: Verdict
) -> None:
    case = type("Case", (OfPriorities,), {"outcomes": outcomes})
    table.survey(case)
    assert table.column(case) == {Feature.PRIORITY: verdict}
    assert table.is_complete(case)


def test_a_survey_tries_only_what_was_not_tried_and_says_what_is_broken() -> None:
    class Case(OfPriorities):
        outcomes = (None, AssertionError("out of order"))

    assert table.survey(Case) == ["test_the_second: AssertionError('out of order')"]
    assert table.survey(Case) == []


def test_what_was_not_tried_is_not_in_the_column() -> None:
    class Case(OfPriorities):
        pass

    assert table.column(Case) == {}
    assert not table.is_complete(Case)
    Case().test_the_first()
    assert not table.is_complete(Case)


def test_each_transport_has_verdicts_of_its_own() -> None:
    class Other(OfPriorities):
        pass

    class Case(OfPriorities):
        pass

    Case().test_the_first()
    assert Other.verdicts == {}


def test_a_refusal_that_names_nothing_fails_the_promise_and_says_what_it_must_name() -> None:
    class Case(OfPriorities):
        outcomes = (NotSupported("cannot"), None)

    with pytest.raises(AssertionError, match=r"x-max-priority and the transport 'mine'"):
        Case().test_the_first()


def test_what_is_not_to_be_refused_cannot_be() -> None:
    class Case(OfPriorities):
        @promises(Feature.DIRECT)
        def test_routing(self) -> None:
            raise NotSupported("transport 'mine' has no direct exchanges")

    with pytest.raises(AssertionError, match="no transport may refuse that"):
        Case().test_routing()


def test_a_page_is_read_back_as_it_was_made() -> None:
    columns: dict[str, table.Column] = {
        "memory": dict.fromkeys(Feature, Verdict.KEPT),
        'odd, "quoted"': {Feature.DIRECT: Verdict.IN_PART, Feature.DELAY: Verdict.REFUSED},
    }
    page = table.render(columns, table.promises_of(TransportConformance))
    assert table.parse(page) == columns


@pytest.mark.parametrize("page", ["", "Transports compared\n===================\n"])
def test_another_page_has_no_columns(page: str) -> None:
    assert table.parse(page) == {}


def test_a_page_lists_every_promise_below_its_feature() -> None:
    page = table.render({}, ["test_a_message_may_be_requeued_for_later"])
    assert "\nDelayed messages\n   * A message may be requeued for later.\n" in page


def test_every_promise_names_its_feature_and_every_feature_has_promises() -> None:
    found = {name: feature_of(name) for name in table.promises_of(TransportConformance)}
    assert [name for name, feature in found.items() if feature is None] == []
    assert set(found.values()) == set(Feature)
