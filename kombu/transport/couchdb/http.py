"""Requests to one database, and what becomes of their errors."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from kombu.exceptions import AccessRefused, ConnectionError, KombuError, OperationalError, PreconditionFailed
from kombu.transport.couchdb.clock import ServerClock
from kombu.transport.virtual.deadline import seconds_to_wait

CONFLICT, EXISTS, MISSING = 409, 412, 404
_REFUSED = (401, 403)
_TOO_LARGE = 413
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_WORDS = ("update",)
_IDLE = 4.0
"""Seconds that a connection is kept: some servers close it after five."""


class Database:
    """``url`` is the server's, without user and password. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        name: str,
        user: str | None,
        password: str | None,
        verify: ssl.SSLContext | bool,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        self.name = f"{url}/{name}"
        self.clock = ServerClock()
        self._user = user
        self._path = "/" + quote(name, safe="")
        self.timeout = timeout
        self._connect_timeout = connect_timeout
        self._client = httpx.Client(
            base_url=url,
            auth=(user, password or "") if user else None,
            verify=verify,
            limits=httpx.Limits(keepalive_expiry=_IDLE),
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        expect: tuple[int, ...] = (),
        timeout: float | None = None,
    ) -> tuple[int, Any]:
        """Status and answer. Raises for any status that is neither a success nor in ``expect``."""
        content = None if body is None else json.dumps(body)
        headers = {"accept": "application/json"} | ({} if body is None else {"content-type": "application/json"})
        most = self.timeout if timeout is None else timeout
        seconds = seconds_to_wait(most)
        limit = httpx.Timeout(seconds, connect=min(self._connect_timeout, seconds))
        asked = self.clock.read()
        try:
            response = self._client.request(
                method, self._path + path, params=params, content=content, headers=headers, timeout=limit
            )
        except httpx.HTTPError as exc:
            raise self._lost(exc) from exc
        except RuntimeError as exc:  # what httpx raises for a client that was closed
            raise ConnectionError(f"{self.name}: {exc}") from exc
        self.clock.learn(response.headers.get("date"), asked, self.clock.read())
        if response.is_success or response.status_code in expect:
            return response.status_code, _decoded(response, self.name)
        raise self._refused(response)

    def rows(self, params: Mapping[str, object], path: str = "/_all_docs") -> list[dict[str, Any]]:
        """Of an index; parameters are JSON values, but for those that are a word."""
        encoded = {name: str(value) if name in _WORDS else json.dumps(value) for name, value in params.items()}
        _, answer = self.ask("GET", path, params=encoded)
        return list(answer["rows"])

    def find(self, ids: list[str], docs: bool = True) -> dict[str, dict[str, Any]]:
        """Documents by their ids, or without ``docs`` only ``{"_rev": …}``; those that do not exist are left out."""
        if not ids:
            return {}
        params = {"include_docs": "true"} if docs else None
        _, answer = self.ask("POST", "/_all_docs", params=params, body={"keys": ids})
        found = {}
        for row in answer["rows"]:
            value = row.get("value") or {}
            if "rev" not in value or value.get("deleted"):
                continue
            if not docs:
                found[row["id"]] = {"_rev": value["rev"]}
            elif row.get("doc"):
                found[row["id"]] = row["doc"]
        return found

    def write(self, docs: list[dict[str, Any]]) -> list[str | None]:
        """The new revision of each, None where another came first. Raises where a document is refused otherwise."""
        if not docs:
            return []
        _, answer = self.ask("POST", "/_bulk_docs", body={"docs": docs})
        answers = {each["id"]: each for each in answer}
        wrong = [each for each in answer if each.get("error", "conflict") != "conflict"]
        if wrong:
            raise OperationalError(f"{self.name}: {wrong[0]['error']}: {wrong[0].get('reason')} ({wrong[0]['id']})")
        return [answers[doc["_id"]].get("rev") if doc["_id"] in answers else None for doc in docs]

    def _lost(self, exc: httpx.HTTPError) -> KombuError:
        text = str(exc) or type(exc).__name__
        if isinstance(exc, _NEVER_SENT):
            return OperationalError(f"{self.name}: {text}. Does CouchDB run there?")
        error = ConnectionError(f"{self.name}: {text}")
        error.uncertain = True
        return error

    def _refused(self, response: httpx.Response) -> KombuError:
        said = " ".join(response.text.split())[:200]
        status = response.status_code
        if status in _REFUSED:
            return AccessRefused(f"{self.name} does not let user {self._user!r} in, or do that: {said}")
        if status == _TOO_LARGE:
            return PreconditionFailed(
                f"a body is larger than transport 'couchdb' may store on this server (max_document_size): {said}"
            )
        wrong = NotThere if status == MISSING else OperationalError
        return wrong(f"{self.name}: HTTP {status}: {said}")


class NotThere(OperationalError):
    """The server has nothing of that name."""


def _decoded(response: httpx.Response, name: str) -> Any:
    try:
        return response.json()
    except ValueError as exc:
        text = " ".join(response.text.split())[:80]
        raise OperationalError(f"{name} does not answer as CouchDB does: {text!r}") from exc
