"""What the driver's errors mean, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bson.errors import BSONError
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
)

from kombu.exceptions import (
    AccessRefused,
    ConnectionError,
    InvalidURL,
    KombuError,
    NotSupported,
    OperationalError,
    PreconditionFailed,
    VersionMismatch,
)
from kombu.transport.mongodb.settings import KNOWN

# https://www.mongodb.com/docs/manual/reference/error-codes/
_NO_ENTRY = {11, 18, 8000}
"""UserNotFound, AuthenticationFailed, and what Atlas says instead."""
_NO_RIGHT = {13}
_NOT_PRIMARY = {10107, 13435, 11602, 189, 91, 11600, 10058}
"""NotWritablePrimary, NotPrimaryNoSecondaryOk, InterruptedDueToReplStateChange, PrimarySteppedDown, and shutdowns."""
_LATE = {50, 262}
"""MaxTimeMSExpired and ExceededTimeLimit."""
_UNLIKE_INDEX = {67, 85, 86}
"""CannotCreateIndex, IndexOptionsConflict and IndexKeySpecsConflict."""
_NO_COLLECTION = {48, 73, 166}
"""NamespaceExists, InvalidNamespace and CommandNotSupportedOnView."""
_TOO_LARGE = {10334, 17280, 17419, 17420}
_FULL = {14031, 5, 12501}
"""OutOfDiskSpace, and the quota of a hosted cluster."""
_UNCERTAIN_LABELS = ("RetryableWriteError", "UnknownTransactionCommitResult")


def explained(place: str, error: Exception) -> KombuError:
    """The error to raise instead of the driver's ``error`` at ``place``; ``uncertain`` is set where nobody knows."""
    text = _text(error)
    match error:
        case InvalidOperation() if "close" in text:
            return ConnectionError(f"{place}: this connection is closed")
        case ConfigurationError():
            return _misconfigured(place, error, text)
        case DocumentTooLarge():
            return PreconditionFailed(f"{place}: a message is larger than the server takes: {text}")
        case WaitQueueTimeoutError() | ServerSelectionTimeoutError():
            return _unreachable(place, text)
        case NetworkTimeout():
            return _lost(f"{place}: the server said nothing for too long (option 'timeout'): {text}")
        case AutoReconnect() | ConnectionFailure():
            return _lost(f"{place}: {text}")
        case BulkWriteError():
            return _of_bulk(place, error)
        case OperationFailure():
            return _refused(place, error, text)
        case BSONError() | UnicodeError():
            return PreconditionFailed(f"{place}: what was to be stored is no BSON: {text}")
    return OperationalError(f"{place}: {text}")


@contextmanager
def explaining(place: str) -> Iterator[None]:
    """Errors of the driver in the block arrive as :mod:`kombu.exceptions`."""
    try:
        yield
    except (PyMongoError, BSONError, UnicodeError) as exc:
        raise explained(place, exc) from exc


def write_errors(error: BulkWriteError) -> list[tuple[int, int]]:
    """Which operation of a batch failed, and the code of its error."""
    return [(int(each["index"]), int(each.get("code", 0))) for each in (error.details or {}).get("writeErrors", ())]


def _misconfigured(place: str, error: Exception, text: str) -> KombuError:
    if "wire version" in text:
        return VersionMismatch(f"{place}: {text}")
    if type(error.__context__).__module__.startswith("dns."):
        return _unreachable(place, text)
    return InvalidURL(f"{place}: {text}. {KNOWN}" if "option" in text else f"{place}: {text}")


def _refused(place: str, error: OperationFailure, text: str) -> KombuError:
    code = error.code
    if code in _NO_ENTRY:
        return AccessRefused(
            f"{place} does not let this user in: {text}. Mend user, password, or authSource, the user's database"
        )
    if code in _NO_RIGHT:
        return AccessRefused(f"{place}: this user may not do that, the role readWrite is needed: {text}")
    if code in _UNLIKE_INDEX:
        return PreconditionFailed(
            f"{place}: {text}. Drop that index, or choose other collections with the option 'collection_prefix'"
        )
    if code in _NO_COLLECTION:
        return PreconditionFailed(f"{place}: {text}. Choose other collections with the option 'collection_prefix'")
    if code in _TOO_LARGE:
        return PreconditionFailed(f"{place}: a message is larger than the server takes: {text}")
    if code in _FULL:
        return OperationalError(f"{place}: no space left: {text}")
    if code in _NOT_PRIMARY or isinstance(error, WriteConcernError) or code in _LATE or _is_uncertain(error):
        return _lost(f"{place}: {text}")
    if isinstance(error, WriteError) or code is not None:
        return OperationalError(f"{place}: {text} (code {code})")
    return NotSupported(f"{place}: {text}")


def _of_bulk(place: str, error: BulkWriteError) -> KombuError:
    details = error.details or {}
    if unconfirmed := details.get("writeConcernErrors"):
        return _lost(f"{place}: stored, but not as safely as asked for (w): {unconfirmed[0].get('errmsg', '')}")
    first: Mapping[str, Any] = next(iter(details.get("writeErrors", ())), {})
    text = str(first.get("errmsg", "a batch was refused"))
    return _refused(place, WriteError(text, first.get("code"), first), text)


def _unreachable(place: str, text: str) -> ConnectionError:
    return ConnectionError(f"{place} cannot be reached: {text}")


def _lost(text: str) -> ConnectionError:
    lost = ConnectionError(text)
    lost.uncertain = True
    return lost


def _is_uncertain(error: PyMongoError) -> bool:
    return any(error.has_error_label(label) for label in _UNCERTAIN_LABELS)


def _text(error: Exception) -> str:
    """What the driver says, without its description of the deployment and the whole answer of the server."""
    text = " ".join(str(error).split())
    for end in (
        " or maybe a camelCase",
        ", Timeout:",
        ", full error:",
        ", Topology Description:",
        " (configured timeouts:",
    ):
        text = text.partition(end)[0]
    return text
