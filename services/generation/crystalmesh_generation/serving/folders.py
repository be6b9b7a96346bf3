"""Where the models of a server are: the folders that its operator names, then those that ship."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

SHIPPED = Path(__file__).parents[1] / "shipped" / "models"
_CARD = "crystalmesh.json"
_OF_TRAINING = "model"


@dataclass(frozen=True)
class ModelFolder:
    """A folder that should hold a model; whether it does, loading it tells."""

    name: str
    path: Path


def find_models(configured: Sequence[Path], shipped: Path | None = SHIPPED) -> list[ModelFolder]:
    """The models of these folders in order, then the shipped ones by name.

    Of two with one name the first is taken, so that a folder of the operator's can stand for a shipped one.
    """
    found: dict[str, ModelFolder] = {}
    folders = [folder for path in configured for folder in _of(path)]
    if shipped is not None:
        folders += _inside(shipped)
    for folder in folders:
        if folder.name not in found:
            found[folder.name] = folder
        elif found[folder.name].path != folder.path:
            _log.warning("model_hidden_by_its_name", name=folder.name, path=str(folder.path))
    return list(found.values())


def _of(path: Path) -> list[ModelFolder]:
    """One model, or those inside; a folder with neither is a model that is missing."""
    path = path.expanduser().absolute()
    return [_model(path)] if _is_model(path) else list(_inside(path)) or [ModelFolder(path.name, path)]


def _inside(path: Path) -> Iterator[ModelFolder]:
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            if inner.is_dir() and not inner.name.startswith((".", "_")):
                yield _model(inner)


def _is_model(path: Path) -> bool:
    return (path / _CARD).exists() or (path / _OF_TRAINING / _CARD).exists()


def _model(path: Path) -> ModelFolder:
    """A training puts its model into `model`, and has the better name."""
    if path.name == _OF_TRAINING:
        return ModelFolder(path.parent.name, path)
    if not (path / _CARD).exists() and (path / _OF_TRAINING / _CARD).exists():
        return ModelFolder(path.name, path / _OF_TRAINING)
    return ModelFolder(path.name, path)
