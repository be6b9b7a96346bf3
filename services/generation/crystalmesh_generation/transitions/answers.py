"""Answers on disk: one line of JSON each, written through to the disk before the next is asked for.

Whatever ends a run, its answers are there for the next one: a line that was cut off is taken away on
opening, and a line that cannot be read counts as not asked.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crystalmesh_common.runtime.durable import make_folder, sync_folder
from crystalmesh_common.runtime.errors import StorageFullError, WriterBusyError

FILE = "transitions.jsonl"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Answer:
    """What an endpoint said to a question."""

    key: str  # of the question and the model
    model: str
    text: str
    fault: str = ""  # why the text is not used; empty for one that is


def read_answers(path: Path) -> dict[str, Answer]:
    """The answers of a file by their keys; of several to one question the last. None without a file."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        found = (_answer(line) for line in file)
        return {each.key: each for each in found if each is not None}


class AnswerLog:
    """A file of answers that is being added to; `open_answers` gives one."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.answers = read_answers(path)

    def add(self, answer: Answer) -> None:
        """Keep an answer; on return it survives a crash of the machine. Raises StorageFullError."""
        line = json.dumps(asdict(answer), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise StorageFullError(
                f"no space is left for {self._path}: free some and run the same command again; all answers "
                "before this one are kept",
                path=self._path,
            ) from error
        self.answers[answer.key] = answer


@contextmanager
def open_answers(path: Path) -> Iterator[AnswerLog]:
    """Open a file of answers to add to, for one process at a time. Raises WriterBusyError for the second."""
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WriterBusyError(f"another process is adding to {path}", path=path) from None
        sync_folder(path.parent)
        _drop_torn_line(path, descriptor)
        yield AnswerLog(path, descriptor)
    finally:
        os.close(descriptor)


def _drop_torn_line(path: Path, descriptor: int) -> None:
    """Cut off what comes behind the last line end."""
    with path.open("rb") as file:
        whole = 0
        for line in file:
            whole += len(line) if line.endswith(b"\n") else 0
    os.ftruncate(descriptor, whole)


def _answer(line: bytes) -> Answer | None:
    try:
        said: Any = json.loads(line)
        answer = Answer(**said)
    except (ValueError, TypeError, RecursionError):
        return None
    sound = all(isinstance(value, str) for value in vars(answer).values())
    return answer if sound else None
