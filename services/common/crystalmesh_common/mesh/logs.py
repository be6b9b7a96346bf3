"""The log files of a mesh: bounded when opened, read from the end, followed as they grow."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LARGEST_LOG_BYTES = 8 * 1024 * 1024
_TAIL_BYTES = 256 * 1024
_LONGEST_REASON = 300


def open_log(path: Path, largest: int = LARGEST_LOG_BYTES) -> IO[bytes]:
    """Open for appending; a log that has grown too large is put aside as `<name>.log.1` first."""
    if path.exists() and path.stat().st_size > largest:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def last_lines(path: Path, count: int, *, start: int = 0) -> list[str]:
    """Up to `count` of the last lines after the offset `start`; none of a file that does not exist."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(start, size - _TAIL_BYTES)
            file.seek(begin)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[-count:] if count else []


def last_words(path: Path, start: int) -> str:
    """What a process that logged from the offset `start` on said of its end, in one line.

    The last error of structured logs where there is one, otherwise the last line that is not structured.
    """
    lines = [line.strip() for line in last_lines(path, 200, start=start) if line.strip()]
    plain = ""
    for line in reversed(lines):
        event = _event(line)
        if event is None:
            plain = plain or line
        elif event.get("level") in {"error", "critical"}:
            return _shorten(plain or _error_of(event))
    return _shorten(plain)


def _event(line: str) -> Mapping[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _error_of(event: Mapping[str, object]) -> str:
    trace = str(event.get("exception", "")).strip().splitlines()
    name = str(event.get("event", ""))
    return f"{name}: {trace[-1]}" if trace else name


def _shorten(line: str) -> str:
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


@dataclass
class LogFollower:
    """Yields the lines that are appended to a log, also across its rotation."""

    path: Path
    _position: int = 0
    _inode: int = 0
    _rest: bytes = field(default=b"")

    def __post_init__(self) -> None:
        if self.path.exists():
            status = self.path.stat()
            self._position, self._inode = status.st_size, status.st_ino

    def new_lines(self) -> list[str]:
        """The whole lines that came since the last call."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._position:
                    self._position, self._inode, self._rest = 0, status.st_ino, b""
                file.seek(self._position)
                grown = file.read()
        except FileNotFoundError:
            return []
        self._position += len(grown)
        *lines, self._rest = (self._rest + grown).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def follow(logs: Mapping[str, Path], *, period_seconds: float = 0.2) -> Iterator[tuple[str, str]]:
    """The lines that come to several logs from now on as (name, line), for ever."""
    followers = {name: LogFollower(path) for name, path in logs.items()}

    def lines() -> Iterator[tuple[str, str]]:
        while True:
            for name, follower in followers.items():
                for line in follower.new_lines():
                    yield name, line
            time.sleep(period_seconds)

    return lines()
