"""What a database says when it fails, in our exceptions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DatabaseBusyError,
    DataCorruptError,
    StorageFullError,
)

RETRY_AFTER_SECONDS = 1.0

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_OUT_OF_REACH = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    }
)
# A quota, a limit on file sizes, and no space for the shared memory reach us as failed writes.
_FULL = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_FSYNC,
    }
)

# Classes and codes of SQLSTATE.
_DISK_FULL = "53100"
_DAMAGED_STATES = ("XX001", "XX002")
_BUSY_STATES = ("08", "40", "53", "55P03", "57")


@contextmanager
def told() -> Iterator[None]:
    """Failures of the database become DatabaseBusyError, StorageFullError or DataCorruptError.

    A mistake of ours, such as bad SQL, stays what it is.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise busy("all connections to the database are in use") from error
    except DBAPIError as error:
        meant = _meaning(error)
        if meant is None:
            raise
        raise meant from error


def busy(why: str) -> DatabaseBusyError:
    return DatabaseBusyError(
        f"the database cannot be used now: {why}", retry_after_seconds=RETRY_AFTER_SECONDS
    )


def full(why: str) -> StorageFullError:
    return StorageFullError(
        f"no space is left for the database ({why}): free some and try again; what was acknowledged is safe"
    )


def damaged(why: str) -> DataCorruptError:
    return DataCorruptError(f"the database is damaged: {why}")


def _meaning(error: DBAPIError) -> CrystalMeshError | None:
    original, words = error.orig, str(error.orig).strip()
    if isinstance(original, sqlite3.Error):
        # The driver's own complaints, such as a closed connection, have no code.
        return _of_sqlite(getattr(original, "sqlite_errorcode", sqlite3.SQLITE_MISUSE), words)
    return _of_postgresql(getattr(original, "sqlstate", None), words, lost=error.connection_invalidated)


def _of_sqlite(code: int, words: str) -> CrystalMeshError | None:
    primary = code & 0xFF
    if primary in _DAMAGED:
        return damaged(words)
    if code in _FULL or primary in _FULL:
        return full(words)
    return busy(words) if primary in _OUT_OF_REACH else None


def _of_postgresql(state: str | None, words: str, *, lost: bool) -> CrystalMeshError | None:
    if state == _DISK_FULL:
        return full(words)
    if state in _DAMAGED_STATES:
        return damaged(words)
    # Without a state the server was not reached, or went away.
    return busy(words) if lost or state is None or state.startswith(_BUSY_STATES) else None
