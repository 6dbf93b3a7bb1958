"""What AWS and botocore say arrives as the library's errors, with a word on what to do, and never a secret in it."""

from __future__ import annotations

import socket
import time

import pytest

pytest.importorskip("boto3")

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from kombu import Connection
from kombu.exceptions import (
    AccessRefused,
    ConnectionError,
    KombuError,
    NotFound,
    OperationalError,
    PreconditionFailed,
)
from kombu.transport.sqs.clock import ServerClock
from kombu.transport.sqs.errors import explained, is_uncertain, may_be_tried_again
from tests.servers import HOST


def answered(code: str, status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": "said AWS"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "SendMessage")


@pytest.mark.parametrize(
    ("error", "kind", "says", "uncertain", "again"),
    [
        (answered("AWS.SimpleQueueService.NonExistentQueue"), NotFound, "said AWS", False, False),
        (answered("QueueDoesNotExist"), NotFound, "said AWS", False, False),
        (answered("ExpiredToken", 403), AccessRefused, "expired", False, False),
        (answered("InvalidClientTokenId", 403), AccessRefused, "key and secret", False, False),
        (answered("SignatureDoesNotMatch", 403), AccessRefused, "key and secret", False, False),
        (answered("AccessDenied", 403), AccessRefused, "predefined_queues", False, False),
        (answered("QueueDeletedRecently"), OperationalError, "60 seconds", False, False),
        (answered("RequestThrottled"), OperationalError, "RequestThrottled", False, True),
        (answered("InternalFailure", 500), OperationalError, "InternalFailure", True, True),
        (answered("400"), ConnectionError, "did not arrive whole", False, True),
        (answered("InvalidMessageContents"), PreconditionFailed, "InvalidMessageContents", False, False),
        (NoCredentialsError(), AccessRefused, "AWS_ACCESS_KEY_ID", False, False),
        (EndpointConnectionError(endpoint_url="http://h"), ConnectionError, "host and port", False, False),
        (ConnectionClosedError(endpoint_url="http://h"), ConnectionError, "closed", True, True),
        (ReadTimeoutError(endpoint_url="http://h"), ConnectionError, "timeout", True, False),
        (BotoCoreError(), OperationalError, "error", False, False),
    ],
)
def test_every_error_has_its_meaning(
    error: BotoCoreError | ClientError, kind: type[KombuError], says: str, uncertain: bool, again: bool
) -> None:
    found = explained("SQS in eu-west-1", "SendMessage", error)
    assert isinstance(found, kind)
    assert says in str(found)
    assert "SQS in eu-west-1: SendMessage" in str(found)
    assert (is_uncertain(found), may_be_tried_again(found)) == (uncertain, again)


def test_a_port_where_nobody_listens_is_told_at_once() -> None:
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(OperationalError, match="right host and port"):
        Connection(f"sqs+http://k:secret@{HOST}:{port}").connect()


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server((HOST, 0)) as silent:
        url = f"sqs+http://k:secret@{HOST}:{silent.getsockname()[1]}?read_timeout=1"
        begun = time.monotonic()
        with pytest.raises(OperationalError):
            Connection(url).connect()
        assert time.monotonic() - begun < 10


def test_a_host_that_does_not_exist_is_told() -> None:
    with pytest.raises(OperationalError, match="nowhere"):
        Connection("sqs+http://k:secret@nowhere.invalid:9324").connect()


def test_without_credentials_it_says_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AccessRefused, match="AWS_ACCESS_KEY_ID"):
        Connection(f"sqs+http://{HOST}:1").connect()


class Clocks:
    """Ours shows ``now``, and the server's is ``ahead``."""

    def __init__(self, ahead: float) -> None:
        self.now, self.ahead = 1_000_000.25, ahead
        self.clock = ServerClock(lambda: self.now)

    def ask(self) -> None:
        asked = self.now
        self.now += 0.1
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(int(self.now + self.ahead)))
        self.now += 0.1
        self.clock.heard(date, asked)


@pytest.mark.parametrize("ahead", [0.0, 0.3, -0.2])
def test_two_clocks_that_may_agree_do(ahead: float) -> None:
    clocks = Clocks(ahead)
    for _ in range(2):
        clocks.ask()
    assert abs(clocks.clock.now() - clocks.now - ahead) < 0.5


@pytest.mark.parametrize("ahead", [3600.0, -86_400.5, 2.5])
def test_messages_are_judged_by_the_clock_of_aws(ahead: float) -> None:
    clocks = Clocks(ahead)
    for _ in range(10):
        clocks.ask()
        clocks.now += 0.13
    assert abs(clocks.clock.now() - clocks.now - ahead) < 0.5
    clocks.ahead += 50
    clocks.ask()
    assert abs(clocks.clock.now() - clocks.now - clocks.ahead) < 1.5, "its clock was set"


def test_a_date_that_is_none_tells_nothing() -> None:
    clock = ServerClock(lambda: 7.0)
    for date in (None, "", "yesterday"):
        clock.heard(date, 7.0)
    assert clock.now() == 7.0
