"""RabbitMQ's management API, as far as statistics need it (https://www.rabbitmq.com/docs/management#http-api)."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

from kombu.exceptions import AccessRefused, InvalidURL, NotFound, OperationalError
from kombu.transport.base import QueueStatistics
from kombu.transport.native.tls import TLS

__all__ = ["Management"]

TLS_PORT = 15671
PORT = 15672


class Management:
    """The API at ``url`` (``http://host:15672``), with the user and password of the connection."""

    def __init__(self, url: str, userid: str, password: str, *, timeout: float = 5.0, tls: TLS | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidURL(f"the management API is at http://host:port or https://host:port, not at {parts.scheme!r}")
        self._url = f"{parts.scheme}://{parts.hostname}:{parts.port or self._default_port(parts.scheme)}"
        self._host, self._port = parts.hostname, parts.port or self._default_port(parts.scheme)
        self._base = parts.path.rstrip("/")
        self._secure, self._tls, self._timeout = parts.scheme == "https", tls, timeout
        self._userid = userid
        self._authorization = "Basic " + b64encode(f"{userid}:{password}".encode()).decode("ascii")

    def queues(self, virtual_host: str, names: Sequence[str] | None = None) -> dict[str, QueueStatistics]:
        """Of these queues, or of all; those that do not exist are left out.

        Raises :class:`~kombu.exceptions.OperationalError` where the API is not there, and
        :class:`~kombu.exceptions.AccessRefused` where the user may not use it.
        """
        if names is None:
            found = self.get(f"/api/queues/{quote(virtual_host, safe='')}")
            return {each["name"]: _statistics(each) for each in found}
        answers = {name: self._queue(virtual_host, name) for name in names}
        return {name: answer for name, answer in answers.items() if answer is not None}

    def get(self, path: str) -> Any:
        """What the API answers, as the JSON stands for it. Raises NotFound as well."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request; ``body`` goes as JSON."""
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        connection = self._connection()
        try:
            connection.request(method, self._base + path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as exc:
            raise OperationalError(
                f"no management API at {self._url}: {exc}. Is the plug-in on (rabbitmq-plugins enable"
                " rabbitmq_management), and the option 'management' right?"
            ) from exc
        finally:
            connection.close()
        return self._answer(answer.status, text, path)

    def _answer(self, status: int, text: bytes, path: str) -> Any:
        if status == 404:
            raise NotFound(f"the management API at {self._url} knows no {path}")
        if status in (401, 403):
            raise AccessRefused(
                f"the management API at {self._url} does not let user {self._userid!r} in: it needs the tag management"
            )
        if not 200 <= status < 300:
            raise OperationalError(f"the management API at {self._url} answers {status}: {text[:200]!r}")
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError as exc:
            raise OperationalError(f"what answers at {self._url} is no management API: {text[:100]!r}") from exc

    def _queue(self, virtual_host: str, name: str) -> QueueStatistics | None:
        try:
            return _statistics(self.get(f"/api/queues/{quote(virtual_host, safe='')}/{quote(name, safe='')}"))
        except NotFound:
            return None

    def _connection(self) -> HTTPConnection:
        if self._secure:
            context = self._tls.context if self._tls is not None else None
            return HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        return HTTPConnection(self._host, self._port, timeout=self._timeout)

    @staticmethod
    def _default_port(scheme: str) -> int:
        return TLS_PORT if scheme == "https" else PORT


def _statistics(found: Mapping[str, Any]) -> QueueStatistics:
    """What was not counted yet is not there, and nothing is made of it.

    The time stamp may be that of a message which is held, so it tells of the oldest ready one only where none is.
    """
    leased, since = _count(found, "messages_unacknowledged"), found.get("head_message_timestamp")
    return QueueStatistics(
        ready=_count(found, "messages_ready"),
        leased=leased,
        consumers=_count(found, "consumers"),
        oldest=max(0.0, time.time() - since) if leased == 0 and isinstance(since, (int, float)) else None,
    )


def _count(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) else None
