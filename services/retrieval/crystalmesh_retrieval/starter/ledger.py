"""Results that are kept line by line, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Record = Mapping[str, Any]


class Ledger:
    """A file of JSON lines, each with an `id`, that threads of one process add to.

    A line that a crash has cut short is taken out when the file is opened; what `add` has returned for is
    there after kill -9.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self.ids = {record["id"] for record in read_records(path)}
        _cut_off_torn_line(path)
        self._file = path.open("a")

    def add(self, record: Record) -> None:
        """Write one line."""
        line = json.dumps(record) + "\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            self.ids.add(record["id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_records(path: Path) -> Iterator[Record]:
    """The records of all whole lines, in order; none where there is no file."""
    if path.exists():
        with path.open() as file:
            yield from (json.loads(line) for line in file if line.endswith("\n"))


def _cut_off_torn_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)
