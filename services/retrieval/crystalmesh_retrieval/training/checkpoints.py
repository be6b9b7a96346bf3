"""Checkpoints of a training run: whole or not there, checked when read, without pickle."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from crystalmesh_common.runtime.durable import make_folder, write_file
from crystalmesh_common.runtime.errors import InvalidFieldError, WriterBusyError

_STATE = "state.json"
_RUN = "run.json"
_LOCK = "lock"
_KEPT = 2


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    epoch: int = 0
    batch: int = 0  # the next one of the epoch
    step: int = 0  # of the optimizer, done
    best_epoch: int = -1
    best_score: float = -1.0
    seconds: float = 0.0  # of training so far, over all its processes
    tokens: int = 0
    finished: bool = False


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a run goes on from."""

    progress: Progress
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]  # of the optimizer
    best: Mapping[str, Tensor]  # weights of the best epoch so far, empty before the first


class Checkpoints:
    """The checkpoints in a run's folder, written by one process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def claimed(self, identity: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder as this run's own, for one process at a time.

        Raises InvalidFieldError where it is another run's, saying what differs, and WriterBusyError where
        another process trains in it.
        """
        make_folder(self._folder)
        with (self._folder / _LOCK).open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WriterBusyError(
                    f"another process trains in {self._folder}: choose another --out, or wait for it"
                ) from None
            self._identify(identity)
            yield

    def _identify(self, identity: Mapping[str, Any]) -> None:
        path = self._folder / _RUN
        if not path.exists():
            write_file(path, json.dumps(identity, indent=1, sort_keys=True).encode())
            return
        try:
            there = json.loads(path.read_text())
        except (OSError, ValueError):
            there = {}
        differing = [name for name in identity if there.get(name) != identity[name]]
        if differing:
            told = ", ".join(
                f"{name} {_short(there.get(name))}, not {_short(identity[name])}" for name in differing
            )
            raise InvalidFieldError(
                f"{self._folder} holds another run, with {told}: choose another --out, or delete it",
                field="out",
            )

    def write(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; on return it survives a crash. The two newest stay."""
        folder = self._folder / f"step-{checkpoint.progress.step:07d}"
        if folder.exists():
            shutil.rmtree(folder)
        make_folder(folder)
        digests = {}
        for name in ("weights", "moments", "best"):
            content = save({key: tensor.contiguous() for key, tensor in getattr(checkpoint, name).items()})
            write_file(folder / f"{name}.safetensors", content)
            digests[name] = hashlib.sha256(content).hexdigest()
        # Last of all: a folder without it is no checkpoint.
        state = {"progress": asdict(checkpoint.progress), "sha256": digests}
        write_file(folder / _STATE, json.dumps(state, indent=1).encode())
        for old in self._written()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; torn and damaged ones are passed over."""
        for folder in reversed(self._written()):
            if (found := _read(folder)) is not None:
                return found
        return None

    def _written(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("step-*") if path.is_dir())


def _read(folder: Path) -> Checkpoint | None:
    try:
        state = json.loads((folder / _STATE).read_text())
        parts = {}
        for name, digest in state["sha256"].items():
            content = (folder / f"{name}.safetensors").read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                return None
            parts[name] = load(content)
        return Checkpoint(Progress(**state["progress"]), **parts)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _short(value: Any) -> str:
    return json.dumps(value)[:60]
