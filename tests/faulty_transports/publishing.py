"""Transports that publish something else than they were given: one deliberate fault each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport.base import Content, Publication
from kombu.transport.virtual import Channel
from tests.faulty_transports.base import Faulty


class Publishing(Channel):
    """Publishes something else than it was given."""

    def publish_batch(self, publications: Sequence[Publication], timeout: float | None = None) -> None:
        super().publish_batch([self.altered(each) for each in publications], timeout)

    def altered(self, publication: Publication) -> Publication:
        raise NotImplementedError


def with_properties(publication: Publication, properties: Mapping[str, object]) -> Publication:
    return publication._replace(content=Content(publication.content.body, properties))


def with_body(publication: Publication, body: bytes) -> Publication:
    return publication._replace(content=Content(body, publication.content.properties))


class LosesHeaders(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            return with_properties(publication, {**publication.content.properties, "headers": {}})


class TurnsHeadersIntoText(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            headers: Any = publication.content.properties.get("headers", {})
            texts = {name: str(value) for name, value in headers.items()}
            return with_properties(publication, {**publication.content.properties, "headers": texts})


class CutsHeaders(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            headers: Any = publication.content.properties.get("headers", {})
            return with_properties(
                publication, {**publication.content.properties, "headers": dict(list(headers.items())[:1000])}
            )


class LosesProperties(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            kept = {"content_type", "content_encoding", "headers", "priority", "expiration"}
            properties = {name: value for name, value in publication.content.properties.items() if name in kept}
            return with_properties(publication, properties)


class TakesEverythingForJson(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            return with_properties(publication, {**publication.content.properties, "content_type": "application/json"})


class ExpiresAtOnce(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            properties = publication.content.properties
            return with_properties(publication, {n: "0" if n == "expiration" else v for n, v in properties.items()})


class TakesBodiesForText(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            return with_body(publication, publication.content.body.decode(errors="replace").encode())


class CutsLargeBodies(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            return with_body(publication, publication.content.body[: 2**18])


class IgnoresDelay(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            return publication._replace(delay=0.0)


class IgnoresExpiration(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            properties = publication.content.properties
            return with_properties(publication, {n: v for n, v in properties.items() if n != "expiration"})


class IgnoresMandatory(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            return publication._replace(mandatory=False)


class ReturnsEverythingUnwanted(Faulty):
    class Fault(Publishing):
        def altered(self, publication: Publication) -> Publication:
            return publication._replace(mandatory=True)


class PublishesBatchesBackwards(Faulty):
    class Fault(Channel):
        def publish_batch(self, publications: Sequence[Publication], timeout: float | None = None) -> None:
            super().publish_batch(publications[::-1], timeout)


class PublishesIntoNothing(Faulty):
    """As brokers do whose errors nobody reads."""

    class Fault(Channel):
        def publish_batch(self, publications: Sequence[Publication], timeout: float | None = None) -> None:
            with suppress(ChannelError):
                super().publish_batch(publications, timeout)


class LatestFirst(Faulty):
    class Fault(Channel):
        def publish_batch(self, publications: Sequence[Publication], timeout: float | None = None) -> None:
            channel = self.connection.channel()
            queue = publications[0].routing_key
            before = []
            while publications[0].exchange == "" and (message := Channel.basic_get(channel, queue)):  # type: ignore[arg-type]
                before.append(message)
            super().publish_batch(publications, timeout)
            for message in before:
                message.requeue(delay=0.001)
