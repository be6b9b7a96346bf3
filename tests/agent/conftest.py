"""Databases of both kinds, real ones."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from crystalmesh_agent.store.database import file_url


def _server_programs() -> Path | None:
    """Where PostgreSQL's programs are; Debian keeps them off the path."""
    folders = [Path("/usr/lib/postgresql")] if Path("/usr/lib/postgresql").exists() else []
    found = sorted(path.parent for folder in folders for path in folder.glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server of the tests' own, without a database's name."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL on this machine")
    if find_spec("psycopg") is None:
        pytest.skip("psycopg, the driver of PostgreSQL, is not installed")
    # The server will not run as root, and its user cannot look into pytest's folders.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="crystalmesh-postgresql-"))
    if user:
        shutil.chown(folder, user, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "mesh", "-A", "trust"]
    subprocess.run([*initdb, "--no-sync"], check=True, user=user, cwd=folder, capture_output=True)
    options = ["-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(folder / "data"), *options],
            user=user,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        waiting = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-t", "30"]
        while subprocess.run(waiting, check=False, capture_output=True).returncode != 0:
            assert server.poll() is None, (folder / "log").read_text()
        yield f"postgresql://mesh@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def either_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of one kind and of the other."""
    if request.param == "sqlite":
        return file_url(tmp_path / "store" / "agent.sqlite")
    return _new_schema(request.getfixturevalue("postgresql"))


def _new_schema(server: str) -> str:
    """The URL of tables of one's own; a database each would take a second each."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{server}/postgres?options=-csearch_path%3D{name}"
