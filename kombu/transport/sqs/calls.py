"""Requests to AWS: counted as AWS bills them, within a time limit, tried again where that can do no harm."""

from __future__ import annotations

import time
from collections import Counter
from functools import lru_cache
from threading import Lock
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError

from kombu.exceptions import InvalidURL
from kombu.retry import RetryPolicy
from kombu.transport.sqs.clock import ServerClock
from kombu.transport.sqs.errors import explained, may_be_tried_again
from kombu.transport.sqs.limits import BILLED
from kombu.transport.sqs.options import DEFAULT_REGION, Settings
from kombu.transport.virtual.deadline import seconds_to_wait

Answer = dict[str, Any]

_SHORT = (0.5, 2.0, 5.0)
"""Seconds for an answer to a caller who wants to wait no longer."""

_PATIENCE = RetryPolicy(max_retries=2, interval_start=0.1, interval_step=0.3, jitter=0.5)
"""For what AWS was too busy for."""


class Calls:
    """The clients for SQS and SNS. To be shared between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = ServerClock()
        self._billed: Counter[str] = Counter()
        self._lock = Lock()
        self._clients: dict[tuple[str, float], Any] = {}
        self._session: Any = None

    def open(self) -> None:
        """Find the credentials and read the description of the service; asks nothing yet."""
        try:
            self._session = _session(self.settings)
            self._client("sqs")
        except (BotoCoreError, ClientError) as exc:
            raise explained(self.settings.place, "connect", exc) from exc
        except (TypeError, ValueError) as exc:
            raise InvalidURL(f"{self.settings.place}: {exc}") from exc

    def close(self) -> None:
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def sqs(self, action: str, *, safe: bool = True, size: int = 0, **parameters: Any) -> Answer:
        """Ask SQS. ``safe``: twice is as good as once, so it may be tried again. ``size``: bytes, for the bill."""
        return self._ask("sqs", action, safe, size, parameters)

    def sns(self, action: str, *, safe: bool = True, size: int = 0, **parameters: Any) -> Answer:
        """The same for SNS."""
        return self._ask("sns", action, safe, size, parameters)

    def receive(self, **parameters: Any) -> Answer:
        """ReceiveMessage, which does not wait."""
        return self._ask("sqs", "receive_message", True, 0, parameters)

    def poll(self, **parameters: Any) -> Answer:
        """ReceiveMessage with a long poll: it waits for longer than any other request."""
        return self._ask("poll", "receive_message", True, 0, parameters)

    def billed(self) -> dict[str, int]:
        """Requests by AWS's action, each 64 KiB that were sent or received counted as one."""
        with self._lock:
            return dict(self._billed)

    def _ask(self, kind: str, action: str, safe: bool, size: int, parameters: dict[str, Any]) -> Answer:
        delays = _PATIENCE.delays()
        while True:
            asked = self.clock.read()
            try:
                client = self._client(kind)
                self._count(client, action, size)
                answer: Answer = getattr(client, action)(**parameters)
            except (BotoCoreError, ClientError) as exc:
                error = explained(self.settings.place, _action(client, action), exc)
                certain = not getattr(error, "uncertain", False)
                delay = next(delays, None)
                if delay is None or not may_be_tried_again(error) or not (safe or certain):
                    raise error from exc
                time.sleep(delay)
            else:
                self.clock.heard(answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date"), asked)
                return answer

    def count_received(self, size: int) -> None:
        """An answer of so many bytes is billed as more than one request."""
        if size > BILLED:
            with self._lock:
                self._billed["ReceiveMessage"] += -(-size // BILLED) - 1

    def _count(self, client: Any, action: str, size: int) -> None:
        with self._lock:
            self._billed[_action(client, action)] += max(-(-size // BILLED), 1)

    def _client(self, kind: str) -> Any:
        key = kind, self._patience()
        client = self._clients.get(key)
        if client is None:
            with self._lock:
                client = self._clients.get(key) or self._clients.setdefault(key, self._make(*key))
        return client

    def _patience(self) -> float:
        """Seconds for an answer: fewer where the caller's deadline is near. A client has one limit for all it asks, so
        these are few."""
        usual = self.settings.read_timeout
        left = seconds_to_wait(usual)
        return usual if left >= usual else max((each for each in _SHORT if each <= left), default=_SHORT[0])

    def _make(self, kind: str, patience: float) -> Any:
        settings = self.settings
        waits = settings.wait_time_seconds if kind == "poll" else 0
        config = Config(
            connect_timeout=min(settings.connect_timeout, patience),
            read_timeout=patience + waits,
            retries={"total_max_attempts": 1},
            max_pool_connections=settings.max_polls + 4,
        )
        return self._session.client(
            "sns" if kind == "sns" else "sqs",
            endpoint_url=settings.endpoint,
            verify=settings.ca_certs,
            config=config.merge(Config(**settings.client_config)),
        )


def _action(client: Any, method: str) -> str:
    return str(client.meta.method_to_api_mapping[method])


@lru_cache(maxsize=1)
def _descriptions() -> Any:
    """Botocore's reader of service descriptions: files of the package, read once a process."""
    return botocore.session.get_session().get_component("data_loader")


def _core() -> Any:
    core = botocore.session.get_session()
    core.register_component("data_loader", _descriptions())
    return core


def _session(settings: Settings) -> Any:
    core = _core()
    region = settings.region or core.get_config_variable("region") or DEFAULT_REGION
    if settings.key is not None:
        core.set_credentials(settings.key, settings.secret)
    if settings.sts_role_arn is not None:
        core = _in_role(core, settings, region)
    return boto3.session.Session(botocore_session=core, region_name=region)


def _in_role(core: Any, settings: Settings, region: str) -> Any:
    """A session with the role's credentials, which are renewed by themselves before they expire."""
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=lambda service, **options: core.create_client(service, **{"region_name": region, **options}),
        source_credentials=core.get_credentials(),
        role_arn=settings.sts_role_arn,
        extra_args={"RoleSessionName": "kombu", "DurationSeconds": settings.sts_token_timeout},
    )

    class Role(CredentialProvider):  # type: ignore[misc]
        METHOD = "assume-role"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(method=self.METHOD, refresh_using=fetcher.fetch_credentials)

    within = _core()
    within.register_component("credential_provider", CredentialResolver([Role()]))
    return within
