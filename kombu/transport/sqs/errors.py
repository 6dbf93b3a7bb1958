"""What an error of botocore means, and what to do about it. Neither keys nor secrets are ever part of one."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnected

from kombu.exceptions import AccessRefused, ConnectionError, KombuError, NotFound, OperationalError, PreconditionFailed

_NO_QUEUE = {"NonExistentQueue", "QueueDoesNotExist"}
_NO_TOPIC = {"NotFound", "NotFoundException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEY = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "InvalidSecurity",
    "MissingAuthenticationToken",
    "OptInRequired",
}
_NO_RIGHT = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}
_THROTTLED = {
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "Throttled",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "OverLimit",
}
_RECENTLY = {"QueueDeletedRecently"}
_SERVER_FAULT = 500


class QueueMissing(NotFound):
    """AWS knows no such queue."""


class Throttled(OperationalError):
    """AWS has too many requests and did nothing."""


class ServerFault(OperationalError):
    """AWS failed, and may have done what it was asked or not."""

    uncertain = True


class Garbled(ConnectionError):
    """The request did not arrive whole, and nothing was done: the connection ended meanwhile."""


class Cut(ConnectionError):
    """The connection ended before the answer came."""

    uncertain = True


class Silence(ConnectionError):
    """No answer came in time (``read_timeout``)."""

    uncertain = True


def explained(place: str, action: str, error: BotoCoreError | ClientError) -> KombuError:
    """The error to raise instead of the driver's; ``place`` is where, ``action`` what was asked for."""
    what = f"{place}: {action}"
    if isinstance(error, ClientError):
        return _answered(what, error)
    text = " ".join(str(error).split())
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | ProfileNotFound):
        return AccessRefused(
            f"{what}: no credentials: {text}. Put key and secret into the URL (sqs://KEY:SECRET@, with / written %2F),"
            " into the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or give this machine a role"
        )
    if isinstance(error, SSLError):
        return ConnectionError(f"{what}: TLS does not verify: {text}. Is the host's name right, and its certificate?")
    if isinstance(error, ParamValidationError):
        return PreconditionFailed(f"{what}: {text}")
    if isinstance(error, NotConnected):
        return ConnectionError(f"{what}: {text}. Is this the right host and port, and does it answer?")
    if isinstance(error, HTTPClientError):
        return Silence(f"{what}: {text}") if isinstance(error, ReadTimeoutError) else Cut(f"{what}: {text}")
    return OperationalError(f"{what}: {text}")


def code_of(error: ClientError) -> str:
    """AWS's name of it, without the service's."""
    return str(error.response.get("Error", {}).get("Code", "")).rpartition(".")[2]


def is_uncertain(error: BaseException) -> bool:
    """Whether what was asked for may be done nevertheless."""
    return bool(getattr(error, "uncertain", False))


def may_be_tried_again(error: KombuError) -> bool:
    """Whether the next attempt may well succeed at once: not where nobody answers."""
    return isinstance(error, Throttled | ServerFault | Garbled | Cut)


def _answered(what: str, error: ClientError) -> KombuError:
    code = code_of(error)
    details = error.response.get("Error", {})
    text = f"{what}: {code}: {' '.join(str(details.get('Message', '')).split())}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _NO_QUEUE:
        return QueueMissing(text)
    if code in _NO_TOPIC:
        return NotFound(text)
    if code in _EXPIRED:
        return AccessRefused(f"{text}. The credentials have expired: get new ones")
    if code in _UNKNOWN_KEY:
        return AccessRefused(f"{text}. AWS does not accept this key and secret for this region: check both")
    if code in _NO_RIGHT:
        return AccessRefused(
            f"{text}. The user needs this right; with no right to create or tag queues, name them in predefined_queues"
        )
    if code in _RECENTLY:
        return OperationalError(f"{text}. AWS gives a queue's name out again 60 seconds after the queue was deleted")
    if code in _THROTTLED:
        return Throttled(text)
    if status >= _SERVER_FAULT:
        return ServerFault(text)
    if code == "400":  # botocore's, where an answer has no name of AWS's: the server could not read so far
        return Garbled(f"{text}: the request did not arrive whole")
    return PreconditionFailed(text)
