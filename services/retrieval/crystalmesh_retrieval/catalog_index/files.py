"""Files of an index: named after their content, and who may change what is there."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from crystalmesh_common.runtime.durable import sync_folder, writing
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_retrieval.catalog_index.manifest import damaged

Write = Callable[[bytes | memoryview], int]

INDEXES = "index"
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def index_folder(catalog: Path, encoder: str, version: str) -> Path:
    """Where a catalog keeps the vectors of an encoder; InvalidFieldError for what is no name."""
    name = f"{encoder}-{version}"
    if not set(name) <= _NAME_CHARACTERS or name.startswith((".", "-")) or len(name) > 150:
        raise InvalidFieldError(
            f"{name[:80]!r} is no name for an encoder: letters, digits, dots, hyphens and underscores are",
            field="encoder",
        )
    return catalog / INDEXES / name


@dataclass(frozen=True)
class WrittenFile:
    """A file that is on the disk, under a name that follows from its content."""

    file: str
    bytes: int
    sha256: str


def write_named(folder: Path, suffix: str, fill: Callable[[Write], None]) -> WrittenFile:
    """Write a file piece by piece, durably; raises StorageFullError, and then it is not there."""
    digest, size = hashlib.sha256(), 0
    scratch = folder / f"new{suffix}"
    with writing(scratch) as file:

        def write(content: bytes | memoryview) -> int:
            nonlocal size
            file.write(content)
            digest.update(content)
            size += len(content)
            return len(content)

        fill(write)
    name = f"{digest.hexdigest()[:24]}{suffix}"
    scratch.replace(folder / name)
    sync_folder(folder)
    return WrittenFile(name, size, digest.hexdigest())


def check_file(file: BufferedReader, path: Path, size: int, sha256: str) -> None:
    """Raise DataCorruptError where an open file is not what was written."""
    found = os.fstat(file.fileno()).st_size
    if found != size:
        raise damaged(path, f"it has {found:,} bytes instead of {size:,}")
    # Read, not mapped: what is only checked need not stay in memory.
    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        raise damaged(path, "it does not match its checksum")


@contextmanager
def short_lock(path: Path) -> Iterator[None]:
    """Wait for one's turn to change the manifest; nobody holds it for longer than a block takes to write."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
