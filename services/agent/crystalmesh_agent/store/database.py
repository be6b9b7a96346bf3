"""The database: a SQLite file, or PostgreSQL by URL; what is committed stays."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Double

from crystalmesh_agent.store.faults import busy, told
from crystalmesh_client.endpoints import mesh_home
from crystalmesh_common.runtime.durable import make_folder, sync_folder
from crystalmesh_common.runtime.errors import InvalidFieldError

FILE_NAME = "agent.sqlite"

_WRITES = "crystalmesh_writes"
# One number for everyone who changes tables or the queue as a whole; "crystal" in ASCII.
_ADVISORY_LOCK = 0x6372797374616C


def default_url() -> URL:
    """A file in the folder of this user's mesh."""
    return file_url(mesh_home() / "agent" / FILE_NAME)


def file_url(path: Path) -> URL:
    """The URL of a SQLite file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path))


class now_seconds(FunctionElement[float]):  # noqa: N801 -- SQL functions have small letters
    """The time by the clock of the database, in seconds since 1970."""

    type = Double()
    inherit_cache = True


@compiles(now_seconds, "sqlite")
def _now_in_sqlite(_element: now_seconds, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now_seconds, "postgresql")
def _now_in_postgresql(_element: now_seconds, _compiler: SQLCompiler, **_: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::double precision"


class Database:
    """Transactions, for any number of threads.

    A write is durable once `writing` has returned: it survives kill -9 and loss of power, given a disk and,
    for PostgreSQL, a server that keep what they have synced. Both kinds raise DatabaseBusyError,
    StorageFullError or DataCorruptError, and then nothing has been written; only where the connection to
    PostgreSQL breaks during a commit it may have been, which is why all writes can be repeated.
    """

    def __init__(self, url: str | URL, *, busy_seconds: float = 5.0) -> None:
        """`busy_seconds`: how long to wait for another writer, or for a server."""
        self.url = _checked(url)
        self.is_file = self.url.get_backend_name() == "sqlite"
        self._busy_seconds = busy_seconds
        # Threads of one process wait for each other here, in turn; SQLite would have them poll.
        self._writer = threading.Lock() if self.is_file else None
        if self.is_file:
            _make_file(Path(str(self.url.database)))
        self._engine = self._connect()
        self._writing_engine = self._engine.execution_options(**{_WRITES: True})

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the database as it was at its first look, and never waits for a writer."""
        with told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write; of a SQLite file there is one at a time."""
        with told(), self._turn(), self._writing_engine.begin() as connection:
            yield connection

    def lock_whole(self, connection: Connection) -> None:
        """Keep others who call this waiting until the end of the transaction."""
        if not self.is_file:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=self._busy_seconds):
            raise busy("another thread is writing")
        try:
            yield
        finally:
            self._writer.release()

    def _connect(self) -> Engine:
        patience = self._busy_seconds
        if self.is_file:
            engine = create_engine(
                self.url, pool_timeout=patience, connect_args={"timeout": patience}, hide_parameters=True
            )
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        arguments = (
            {} if "connect_timeout" in self.url.query else {"connect_timeout": max(1, round(patience))}
        )
        engine = create_engine(
            self.url, pool_timeout=patience, pool_pre_ping=True, connect_args=arguments, hide_parameters=True
        )
        event.listen(engine, "connect", partial(_prepare_postgresql, patience))
        event.listen(engine, "begin", _begin_postgresql)
        return engine


def _checked(url: str | URL) -> URL:
    try:
        url = make_url(url)
        backend = url.get_backend_name()
    except ArgumentError:
        url, backend = URL.create("unknown"), ""
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        if find_spec("psycopg") is None:
            raise InvalidFieldError(
                "PostgreSQL needs its driver: install crystalmesh-agent[postgresql]", field="database"
            )
        return url.set(drivername="postgresql+psycopg")
    raise InvalidFieldError(
        "the database is none that the agent knows: sqlite:///path/to/file or postgresql://user@host/name",
        field="database",
    )


def _make_file(path: Path) -> None:
    """SQLite syncs what it writes, and leaves the file's name in its folder to us."""
    make_folder(path.parent)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        sync_folder(path.parent)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, below
    # Readers do not wait for the writer. Some file systems refuse: then they do, and nothing else changes.
    connection.execute("PRAGMA journal_mode = WAL")
    # Every commit is synced; NORMAL would lose the last ones with the power. EXTRA is FULL with a log that is
    # written ahead, and syncs the folder as well without one.
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA fullfsync = ON")  # a Mac keeps to itself what is synced otherwise
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later may find that it is too late, without any waiting.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(patience: float, connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, false)", [f"{max(1, round(patience * 1000))}ms"]
        )
        # Whoever runs the server may trade the last commits for speed; we may not.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get(_WRITES):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
