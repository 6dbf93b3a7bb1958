"""What an error of the driver's means, and what to do about it."""

from __future__ import annotations

from redis import exceptions as driver

from kombu.exceptions import AccessRefused, ConnectionError, InvalidURL, KombuError, OperationalError

_REFUSED = ("WRONGPASS", "NOAUTH", "invalid password", "invalid username-password", "called without any password")
_NO_DATABASE = ("DB index is out of range", "invalid DB index", "SELECT is not allowed in cluster mode")


def explained(where: str, error: BaseException, *, sent: bool = False) -> KombuError:
    """The error to raise instead of ``error``, of the server at ``where``.

    ``sent``: a command was on its way, so that a lost connection leaves it uncertain whether it was carried out.
    """
    text = " ".join(str(error).split())
    if isinstance(error, driver.AuthenticationError) or any(each in text for each in _REFUSED):
        return AccessRefused(f"{where} does not let this user in: {text}. Mend user and password in the URL")
    if isinstance(error, driver.NoPermissionError) or "user executing the script" in text:
        return AccessRefused(
            f"{where}: {text}. The ACL of this user has to allow the keys of Kombu ('~*kombu:*', with the prefix that"
            " was chosen), and '+@all' or at least '+@read +@write +@scripting +@connection +@blocking +time +info"
            " +wait'"
        )
    if any(each in text for each in _NO_DATABASE):
        return InvalidURL(f"{where}: {text}. The virtual host is the number of a database: mend it in the URL")
    if isinstance(error, driver.ReadOnlyError) or text.startswith("READONLY"):
        return ConnectionError(f"{where} is a replica by now, and takes no messages: {text}")
    if isinstance(error, driver.OutOfMemoryError) or text.startswith("OOM"):
        return OperationalError(
            f"{where}: no memory left within its maxmemory, and nothing of this was stored: {text}. Consume messages,"
            " or raise maxmemory"
        )
    if isinstance(error, driver.BusyLoadingError) or text.startswith("LOADING"):
        return OperationalError(f"{where} is loading its data, and will be ready soon: {text}")
    if text.startswith("MISCONF"):
        return OperationalError(f"{where} cannot write to its disk, and takes no messages until it can: {text}")
    if text.startswith("NOREPLICAS"):
        return OperationalError(f"{where} has too few replicas for its min-replicas-to-write: {text}")
    if "WRONGTYPE" in text:
        return OperationalError(
            f"{where}: a key of Kombu's is something else: {text}. Another program uses the same names; choose a"
            " database of its own or the option global_keyprefix"
        )
    if isinstance(error, driver.MasterDownError | driver.ClusterDownError | driver.TryAgainError):
        return OperationalError(f"{where}: {text}")
    if isinstance(error, driver.ResponseError):
        return OperationalError(f"{where}: {text}")
    lost = ConnectionError(f"{where}: {text or type(error).__name__}")
    lost.uncertain = sent
    return lost
