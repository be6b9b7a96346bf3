"""Where the models of a server are: the folders that its operator names, then those that ship."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

_OF_TRAINING = "model"


@dataclass(frozen=True)
class ModelFolder:
    """A folder that should hold a model; whether it does, loading it tells."""

    name: str
    path: Path


def find_model_folders(configured: Sequence[Path], shipped: Path | None, *, card: str) -> list[ModelFolder]:
    """The models of these folders in order, then the shipped ones by name. `card` is a file of every model.

    Of two with one name the first is taken, so that a folder of the operator's can stand for a shipped one.
    """
    found: dict[str, ModelFolder] = {}
    folders = [folder for path in configured for folder in _of(path, card)]
    if shipped is not None:
        folders += _inside(shipped, card)
    for folder in folders:
        if folder.name not in found:
            found[folder.name] = folder
        elif found[folder.name].path != folder.path:
            _log.warning("model_hidden_by_its_name", name=folder.name, path=str(folder.path))
    return list(found.values())


def _of(path: Path, card: str) -> list[ModelFolder]:
    """One model, or those inside; a folder with neither is a model that is missing."""
    path = path.expanduser().absolute()
    if (path / card).exists() or (path / _OF_TRAINING / card).exists():
        return [_model(path, card)]
    return list(_inside(path, card)) or [ModelFolder(path.name, path)]


def _inside(path: Path, card: str) -> Iterator[ModelFolder]:
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            if inner.is_dir() and not inner.name.startswith((".", "_")):
                yield _model(inner, card)


def _model(path: Path, card: str) -> ModelFolder:
    """A training puts its model into `model`, and has the better name."""
    if path.name == _OF_TRAINING:
        return ModelFolder(path.parent.name, path)
    if not (path / card).exists() and (path / _OF_TRAINING / card).exists():
        return ModelFolder(path.name, path / _OF_TRAINING)
    return ModelFolder(path.name, path)
