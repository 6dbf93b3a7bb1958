"""What an error of the operating system means for a spool, and what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import AccessRefused, ConnectionError, KombuError, OperationalError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_RIGHT = {errno.EACCES, errno.EPERM}
_NO_FILES_LEFT = {errno.EMFILE, errno.ENFILE}


@contextmanager
def explained(spool: str) -> Iterator[None]:
    """Errors of the operating system leave the block as ``kombu.exceptions``."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as exc:
        raise _explained(spool, exc) from exc


def _explained(spool: str, error: OSError) -> KombuError:
    text = error.strerror or repr(error)
    if error.filename:
        text = f"{text} ({error.filename})"
    if error.errno in _FULL:
        return OperationalError(f"spool {spool}: no space left, and nothing of this was stored: {text}")
    if error.errno == errno.ENOENT and not os.path.exists(spool):
        return ConnectionError(f"spool {spool}: the folder is gone, and its messages with it; connect anew")
    if error.errno == errno.EROFS:
        return OperationalError(f"spool {spool} is read-only: {text}. Mount it so that this program may write there")
    if error.errno in _NO_RIGHT:
        return AccessRefused(f"spool {spool}: this user may not do that: {text}. Give the right to read and write")
    if error.errno in _NO_FILES_LEFT:
        return OperationalError(f"spool {spool}: too many open files: {text}. Raise the limit (ulimit -n)")
    return OperationalError(f"spool {spool}: {text}")
