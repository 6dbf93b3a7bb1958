"""What a connection says of itself and of its transport, and which broker it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

from kombu.connection.failover import STRATEGIES, Rota, Strategy
from kombu.connection.lifeline import Lifeline
from kombu.connection.parameters import ALIASES, Arguments, listed
from kombu.exceptions import NotSupported
from kombu.transport.base import Address, Transport
from kombu.utils.url import sanitize_url

__all__ = ["Described"]


class Described:
    """A connection, but for talking to a broker. Its attributes tell of the broker whose turn it is."""

    failover_strategies: ClassVar[Mapping[str, Strategy]] = STRATEGIES
    resolve_aliases: ClassVar[Mapping[str, str]] = ALIASES

    def _make(self, given: Arguments) -> None:
        if given.credential_provider is not None and not callable(given.credential_provider):
            raise TypeError(f"credential_provider is not a function but {type(given.credential_provider).__name__}")
        self._given = given
        self._urls = listed(given.hostname, given.alternates)
        self._strategy = given.failover_strategy or "round-robin"
        self._targets = [given.target(url) for url in self._urls]
        self._line = Lifeline(Rota(self._urls, self._strategy), given.target, given.credential_provider)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.as_uri()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Described) and type(self) is type(other) and self._made_of() == other._made_of()

    def __hash__(self) -> int:
        first = self._targets[0]
        return hash((first.transport, first.address.hostname, first.address.virtual_host, first.address.userid))

    __eqhash__ = __hash__

    def __getstate__(self) -> Arguments:
        return self._given

    def __setstate__(self, state: Arguments) -> None:
        self._make(state)

    def clone(self, **changed: Any) -> Self:
        """Another one, not connected, made from the same; keyword arguments replace those it was made with."""
        new = type(self).__new__(type(self))
        new._make(replace(self._given, **changed))
        return new

    def info(self) -> dict[str, Any]:
        """What it was made from, without passwords and other secrets."""
        alternates = [sanitize_url(url) for url in self._urls] if len(self._urls) > 1 else []
        return {
            **self._line.target.info(),
            "failover_strategy": self._given.failover_strategy or "round-robin",
            "alternates": alternates,
        }

    def as_uri(self, include_password: bool = False, mask: str = "**") -> str:
        """The URL, with the password masked unless asked for."""
        return self._line.target.as_uri(include_password, mask)

    @property
    def hostname(self) -> str | None:
        return self._address.hostname

    @property
    def port(self) -> int | None:
        return self._address.port

    @property
    def host(self) -> str:
        """Host name and port, for people; what is not known is left out."""
        return ":".join(str(part) for part in (self.hostname, self.port) if part is not None)

    @property
    def userid(self) -> str | None:
        return self._address.userid

    @property
    def password(self) -> str | None:
        return self._address.password

    @property
    def virtual_host(self) -> str | None:
        return self._address.virtual_host

    @property
    def ssl(self) -> bool | Mapping[str, object]:
        return self._address.ssl

    @property
    def login_method(self) -> str | None:
        return self._address.login_method

    @property
    def connect_timeout(self) -> float:
        """Seconds."""
        return self._address.connect_timeout

    @property
    def heartbeat(self) -> float:
        """Seconds; 0 for none."""
        return self._address.heartbeat

    @property
    def uri_prefix(self) -> str | None:
        return self._given.uri_prefix

    @property
    def transport_options(self) -> Mapping[str, object]:
        """The transport's own, of the URL's query and the argument together."""
        return self._address.options

    @property
    def credential_provider(self) -> Callable[[], tuple[str | None, str | None]] | None:
        return self._given.credential_provider

    @property
    def declared_entities(self) -> set[object]:
        """What was declared on the open connection, for those who want to remember; emptied when it is replaced."""
        return self._line.declared

    @property
    def alt(self) -> list[str]:
        """The URLs of the brokers that stand in for each other, with their passwords."""
        return list(self._urls)

    @property
    def cycle(self) -> Iterator[str] | None:
        """The URLs in the order in which they are tried next; None where there is only one."""
        return self._line.rota.cycle

    @property
    def failover_strategy(self) -> Strategy:
        """Given the URLs, says in which order they are tried."""
        return self._line.rota.strategy

    def completes_cycle(self, retries: int) -> bool:
        """Whether every broker was tried equally often when attempt number ``retries``, from 0, had failed."""
        return self._line.rota.completes_cycle(retries)

    def switch(self, conn_str: str) -> None:
        """Give up the open connection and go to the broker with this URL; connects with the next use.

        Raises :class:`~kombu.exceptions.InvalidURL`.
        """
        self._line.aim(listed((self._urls[0], conn_str))[-1])

    def maybe_switch_next(self) -> None:
        """Go to the broker whose turn is next, if there is another; connects with the next use."""
        self._line.aim_at_next()

    @property
    def transport(self) -> Transport:
        """The transport; raises ``UnknownTransport`` or ``MissingDriver`` where there is none."""
        return self._line.transport

    @property
    def transport_cls(self) -> str | type[Transport]:
        """The name of the transport, or its class where that was given."""
        return self._line.target.transport

    def get_transport_cls(self) -> type[Transport]:
        """The class that the URL's scheme, or ``transport``, names."""
        return self._line.transport_class()

    def create_transport(self) -> Transport:
        """A new transport for the broker whose turn it is."""
        return self.get_transport_cls()(self._address)

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        """What a lost connection raises."""
        return self.get_transport_cls().connection_errors

    @property
    def channel_errors(self) -> tuple[type[Exception], ...]:
        """What a refused operation raises."""
        return self.get_transport_cls().channel_errors

    @property
    def recoverable_connection_errors(self) -> tuple[type[Exception], ...]:
        """Those after which it helps to connect anew: what :meth:`Connection.ensure` tries again."""
        return self.connection_errors

    @property
    def recoverable_channel_errors(self) -> tuple[type[Exception], ...]:
        """Those after which it helps to try the same again: none, what was refused once is refused again."""
        return ()

    @property
    def is_evented(self) -> bool:
        """Whether the transport can work in an event loop."""
        return self.get_transport_cls().implements.asynchronous

    @property
    def supports_heartbeats(self) -> bool:
        return self.get_transport_cls().implements.heartbeats

    @property
    def qos_semantics_matches_spec(self) -> bool:
        """False: ``basic_qos`` is for each consumer (https://www.rabbitmq.com/docs/consumer-prefetch)."""
        return False

    def supports_exchange_type(self, exchange_type: str) -> bool:
        """Whether the transport has exchanges of this type."""
        return exchange_type in self.get_transport_cls().implements.exchange_type

    def get_heartbeat_interval(self) -> float:
        """Seconds between heartbeats, as asked for; 0 where there are none."""
        return self.heartbeat if self.supports_heartbeats else 0.0

    @property
    def manager(self) -> object:
        """The broker's management interface; raises :class:`~kombu.exceptions.NotSupported` where there is none."""
        return self.get_manager()

    def get_manager(self, *args: Any, **kwargs: Any) -> object:
        """:attr:`manager`, made with these arguments."""
        make = getattr(self.transport, "get_manager", None)
        if make is None:
            raise NotSupported(f"transport {self._line.target.name!r} has no management interface")
        return make(*args, **kwargs)

    def _made_of(self) -> tuple[object, ...]:
        return self._targets, self._strategy, self._given.credential_provider

    @property
    def _address(self) -> Address:
        return self._line.target.address
