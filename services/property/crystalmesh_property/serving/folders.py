"""Where this service's models are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalmesh_common.runtime.model_folders import ModelFolder, find_model_folders

SHIPPED = Path(__file__).parents[1] / "shipped" / "models"


def find_models(configured: Sequence[Path], shipped: Path | None = SHIPPED) -> list[ModelFolder]:
    """The models of these folders, then the shipped ones, as `find_model_folders` has them."""
    return find_model_folders(configured, shipped, card="model.json")
