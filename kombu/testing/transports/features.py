"""What transports are compared by: one feature a row of the table, and the mark that a promise carries."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from functools import wraps
from typing import Protocol, TypeVar

from kombu.exceptions import ChannelError, NotSupported, PreconditionFailed


class Verdict(StrEnum):
    """What came of a promise, or of all promises of a feature."""

    KEPT = "yes"
    REFUSED = "refused"
    IN_PART = "in part"
    BROKEN = "broken"


class Feature(Enum):
    """A row of the table: its title, and what a refusal must name. Without names a transport cannot refuse it."""

    DIRECT = "Direct exchanges", ()
    FANOUT = "Fanout exchanges", ()
    TOPIC = "Topic exchanges", ()
    HEADERS = "Headers exchanges", ()
    BINDINGS = "Bindings seen by every process at once", ()
    EXCHANGE_BINDINGS = "Exchange to exchange bindings", ("exchange_bind",)
    ALTERNATE = "Alternate exchanges", ("alternate-exchange",)
    MANDATORY = "Mandatory messages", ("mandatory",)
    DECLARING = "Declaring, also passively", ()
    DELETING = "Purging and deleting", ()
    CONSUMERS = "Consumers of every process counted", ("if_unused",)
    BODIES = "Bodies of any bytes", ()
    LARGE_BODIES = "Bodies of 1 MiB", ("body",)
    PROPERTIES = "Properties and headers", ()
    ORDER = "First in, first out", ()
    ACKNOWLEDGING = "Acknowledgements", ()
    REQUEUE = "Requeue to the old place", ()
    GET = "One message at a time (basic.get)", ()
    REDELIVERY = "Redelivery after a killed process", ()
    DELIVERY_COUNT = "Delivery count", ("delivery_count",)
    DELIVERY_LIMIT = "Delivery limit", ("x-delivery-limit",)
    PREFETCH = "Prefetch", ()
    PREFETCH_TOGETHER = "Prefetch of a whole channel", ("apply_global",)
    FAIRNESS = "Consumers share fairly", ()
    FLOW = "Stopping a consumer for a while (channel.flow)", ("flow",)
    CONSUMER_PRIORITY = "Consumer priorities", ("x-priority",)
    SINGLE_ACTIVE = "Single active consumer", ("x-single-active-consumer",)
    PRIORITY = "Message priorities", ("x-max-priority",)
    DELAY = "Delayed messages", ("delay",)
    QUEUE_TTL = "Time to live of a queue's messages", ("x-message-ttl",)
    EXPIRATION = "Time to live of one message", ("expiration",)
    DEAD_LETTERS = "Dead letters", ("x-dead-letter-exchange",)
    MAX_LENGTH = "Length limit", ("x-max-length",)
    MAX_BYTES = "Length limit in bytes", ("x-max-length-bytes",)
    OVERFLOW = "A full queue refuses", ("x-overflow", "x-max-length")
    EXCLUSIVE = "Exclusive queues", ("exclusive",)
    AUTO_DELETE = "Auto-deleted queues", ("auto_delete",)
    EXPIRES = "Queues that expire", ("x-expires",)
    AUTO_DELETE_EXCHANGE = "Auto-deleted exchanges", ("auto_delete",)
    STATISTICS = "Statistics", ()
    STATISTICS_LEASED = "Statistics: messages that are held", ("leased",)
    STATISTICS_DELAYED = "Statistics: delayed messages", ("delay",)
    STATISTICS_CONSUMERS = "Statistics: consumers", ("consumers",)
    STATISTICS_OLDEST = "Statistics: age of the oldest message", ("oldest",)
    BROWSING = "Looking at messages, requeueing and discarding chosen ones", ("browse",)
    PAUSING = "Pausing a queue", ("pause",)
    MOVING = "Moving to and from other transports", ()
    ERRORS = "The same errors", ()

    def __init__(self, title: str, refused_as: tuple[str, ...]) -> None:
        self.title = title
        self.refused_as = refused_as

    @property
    def refusal(self) -> type[ChannelError]:
        """A body that is too large is refused as RabbitMQ does it, everything else as not supported."""
        return PreconditionFailed if self is Feature.LARGE_BODIES else NotSupported


class Subject(Protocol):
    """A test of a transport, as far as the mark knows it."""

    transport: str

    @classmethod
    def record(cls, feature: Feature, promise: str, verdict: Verdict) -> None: ...


T = TypeVar("T", bound=Subject)


def promises(feature: Feature) -> Callable[[Callable[[T], None]], Callable[[T], None]]:
    """Mark a test as a promise of ``feature``; what comes of it is recorded for the table.

    Two outcomes are good: the promise holds, or the transport refuses the feature with an error that names it and
    the transport. Anything else fails the test, being ignored silently above all.
    """

    def mark(test: Callable[[T], None]) -> Callable[[T], None]:
        @wraps(test)
        def tried(self: T) -> None:
            self.record(feature, test.__name__, Verdict.BROKEN)
            verdict = Verdict.KEPT
            try:
                test(self)
            except feature.refusal as refusal:
                _check(refusal, feature, self.transport)
                verdict = Verdict.REFUSED
            self.record(feature, test.__name__, verdict)

        _FEATURES[test.__name__] = feature
        return tried

    return mark


def feature_of(promise: str) -> Feature | None:
    """The feature that a test was marked with."""
    return _FEATURES.get(promise)


def _check(refusal: ChannelError, feature: Feature, transport: str) -> None:
    """Fails when the feature may not be refused, or not in these words."""
    if not feature.refused_as:
        raise AssertionError(f"{feature.title}: no transport may refuse that, this one says: {refusal}") from refusal
    named = transport in str(refusal) and any(name in str(refusal) for name in feature.refused_as)
    if not named:
        wanted = f"{' or '.join(feature.refused_as)} and the transport {transport!r}"
        raise AssertionError(f"{feature.title}: refused without naming {wanted}: {refusal}") from refusal


_FEATURES: dict[str, Feature] = {}
