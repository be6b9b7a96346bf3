"""Files of published models: where they are kept, and how they get there."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError
from crystalmesh_relaxation.engines.mace_foundations import FoundationModel

_log = structlog.get_logger(__name__)

_CHUNK_BYTES = 1024 * 1024
_SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class ModelFiles:
    """A folder of model files, filled by hand or, where that is allowed, by download."""

    folder: Path
    allow_downloads: bool = False

    def path(self, model: FoundationModel) -> Path:
        """The model's file, which is there when this returns. What is in it is for its reader to check.

        A download appears in the folder when it is complete and its checksum is right, and not before.
        Raises ModelFailedError where there is no file and none may or can be downloaded, and
        DataCorruptError when what comes is not the model.
        """
        path = self.folder / model.file_name
        if path.exists():
            return path
        if not self.allow_downloads:
            raise ModelFailedError(
                f"there is no {path}: download it from {model.url}, or set allow_downloads to have that done"
            )
        try:
            with _one_at_a_time(self.folder):
                if not path.exists():  # somebody else may have fetched it meanwhile
                    _download(model, path)
        except OSError as error:
            raise ModelFailedError(f"cannot write to {self.folder}: {error.strerror}") from None
        return path


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Make the folder and hold it: several evaluators load at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(model: FoundationModel, path: Path) -> None:
    _log.info("downloading", url=model.url, path=str(path))
    digest = hashlib.sha256()
    scratch = path.with_suffix(".partial")
    try:
        with scratch.open("wb") as file:
            for chunk in _chunks(model.url, path):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != model.sha256:
            raise DataCorruptError(
                f"what {model.url} gave is not the model: its SHA-256 is {digest.hexdigest()}, "
                f"not {model.sha256}"
            )
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _chunks(url: str, path: Path) -> Iterator[bytes]:
    try:
        # Only the table of published models says what is fetched.
        with urllib.request.urlopen(url, timeout=_SILENCE_SECONDS) as response:  # noqa: S310
            while chunk := response.read(_CHUNK_BYTES):
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise ModelFailedError(
            f"cannot download {url}: {error}; without a network, put the file at {path}"
        ) from None
