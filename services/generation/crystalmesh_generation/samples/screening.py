"""How far proposals are likely to lie above the hull, so that the best of several can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Protocol

import structlog

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import CrystalError, CrystalMeshError

_log = structlog.get_logger(__name__)


class Screen(Protocol):
    """Predicts without relaxing."""

    def hull_distances(self, crystals: Sequence[Crystal]) -> Sequence[float | None]:
        """In eV/atom, in order; None for a crystal of which nothing can be said."""
        ...


class PropertyScreen:
    """The graph network that ships with the property service, about 2 ms a crystal."""

    def __init__(self, device: str) -> None:
        """Raises ModelFailedError where no shipped network predicts hull distances."""
        from crystalmesh_property.properties import Property  # noqa: PLC0415 -- another service's package
        from crystalmesh_property.serving.folders import SHIPPED, find_models  # noqa: PLC0415 -- likewise
        from crystalmesh_property.serving.models import ServedModels  # noqa: PLC0415 -- likewise
        from crystalmesh_property.serving.predictor import Predictor  # noqa: PLC0415 -- likewise

        folders = find_models((), SHIPPED)
        self._predictor = Predictor.load(folders, device)
        served = ServedModels(folders)
        served.loaded(self._predictor.infos)
        self._plan = served.plan("", (Property.ENERGY_ABOVE_HULL,))

    def hull_distances(self, crystals: Sequence[Crystal]) -> Sequence[float | None]:
        distances: list[float | None] = [None] * len(crystals)
        sound = [position for position, crystal in enumerate(crystals) if _is_sound(crystal)]
        outcomes = self._predictor.predict([crystals[position] for position in sound], self._plan)
        for position, outcome in zip(sound, outcomes, strict=True):
            distances[position] = _distance(outcome)
        return distances


def property_screen(device: str) -> PropertyScreen | None:
    """The screen of the property service; None where that is not installed or has no such network."""
    if find_spec("crystalmesh_property") is None:
        return None
    try:
        return PropertyScreen(device)
    except CrystalMeshError as error:
        _log.warning("no_screen", reason=error.message)
        return None


def _is_sound(crystal: Crystal) -> bool:
    """Whether networks may be given it; flat and crowded cells have neighbours without end."""
    with suppress(CrystalError):
        check_crystal(crystal, max_atoms=len(crystal))
        return True
    return False


def _distance(outcome: object) -> float | None:
    return next((float(each.value) for each in getattr(outcome, "values", ())), None)
