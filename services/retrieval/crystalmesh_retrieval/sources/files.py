"""Sources on the disk."""

from __future__ import annotations

from pathlib import Path

from crystalmesh_common.runtime import durable
from crystalmesh_retrieval.sources.source import SourceFileError


def file_sha256(path: Path) -> str:
    """The checksum of a file; SourceFileError where it cannot be read."""
    try:
        return durable.file_sha256(path)
    except OSError as error:
        raise SourceFileError(f"{path} cannot be read: {error.strerror}") from None
