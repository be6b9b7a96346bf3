"""The folder of a mesh: where its files are, and the lock that lets only one mesh run there."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from crystalmesh_client.endpoints import mesh_home
from crystalmesh_common.mesh.errors import MeshError, MeshRunningError

SUPERVISOR_LOG = "mesh"

# Whoever asks `running_pid` holds the lock for an instant; `up` must not take that for a mesh.
_LOCK_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class MeshHome:
    """Paths below one folder; nothing is created before `prepare`."""

    root: Path

    @classmethod
    def of_this_user(cls) -> Self:
        return cls(mesh_home())

    @property
    def endpoint_map(self) -> Path:
        return self.root / "endpoints.json"

    @property
    def record(self) -> Path:
        return self.root / "mesh.json"

    @property
    def lock(self) -> Path:
        return self.root / "mesh.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def endpoint_file(self, host: str) -> Path:
        return self.root / "run" / f"{host}.json"

    def prepare(self) -> None:
        """Make the folders, for this user alone; MeshError when they cannot be written to."""
        try:
            for folder in (self.root, self.logs, self.root / "run"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock.touch(mode=0o600)
        except OSError as error:
            raise MeshError(f"cannot write to {error.filename}: {error.strerror}") from None

    def running_pid(self) -> int | None:
        """The supervisor of the mesh that runs here; None without one, whatever it left behind."""
        try:
            with self.lock.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0)
                return None
        except (OSError, ValueError):
            return None


class MeshLock:
    """Held by the supervisor as long as it lives. The kernel lets go of it, so kill -9 leaves none behind.

    Raises MeshRunningError when another supervisor holds it.
    """

    def __init__(self, home: MeshHome, *, inherited: int | None = None) -> None:
        self._file = home.lock.open("r+") if inherited is None else os.fdopen(inherited, "r+")
        self._home = home
        if inherited is None:
            self._acquire()
        self.claim(os.getpid())

    @property
    def descriptor(self) -> int:
        """For a child that is to hold the lock in our place: it shares the lock once it inherits this."""
        return self._file.fileno()

    def claim(self, pid: int) -> None:
        """Say which process is the supervisor."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(pid))
        self._file.flush()

    def release(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _acquire(self) -> None:
        deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            else:
                return
        holder = self._file.read() or "unknown"
        self._file.close()
        raise MeshRunningError(
            f"a mesh is running here already (supervisor pid {holder}, home {self._home.root}): "
            "`crystalmesh status` shows it, `crystalmesh down` stops it"
        )
