"""One writer at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from crystalmesh_common.runtime.errors import WriterBusyError


class WriterLock:
    """Held as long as somebody writes to a catalog. The kernel lets go of it, so kill -9 leaves none behind.

    Raises WriterBusyError when another writer holds it, in this process or another.
    """

    def __init__(self, path: Path, catalog: str) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read() or "unknown"
            self._file.close()
            raise WriterBusyError(
                f"another process (pid {holder}) is writing to the catalog {catalog}: "
                "run this again once it is done",
                retry_after_seconds=5.0,
                catalog=catalog,
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
