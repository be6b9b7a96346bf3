"""Sources on the disk: which file is read how."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from crystalmesh_retrieval.sources.source import SourceFileError

_BLOCK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """The checksum of a file; SourceFileError where it cannot be read."""
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise SourceFileError(f"{path} cannot be read: {error.strerror}") from None
