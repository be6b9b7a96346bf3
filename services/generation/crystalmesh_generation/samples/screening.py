"""What proposals are likely to be like, so that the best of several can be kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

    def predicted(self, crystals: Sequence[Crystal], names: Collection[str]) -> Sequence[Mapping[str, float]]:
        """Properties by their names in the API, in order of the crystals; what cannot be told is absent."""
        ...


class PropertyScreen:
    """The graph networks that ship with the property service, about 2 ms a crystal for each that is asked."""

    def __init__(self, device: str) -> None:
        """Raises UnsupportedQuantityError where no network ships that can be loaded."""
        from crystalmesh_property.serving.folders import SHIPPED, find_models  # noqa: PLC0415 -- another's
        from crystalmesh_property.serving.models import ServedModels  # noqa: PLC0415 -- likewise
        from crystalmesh_property.serving.predictor import Predictor  # noqa: PLC0415 -- likewise

        folders = find_models((), SHIPPED)
        self._predictor = Predictor.load(folders, device)
        served = ServedModels(folders)
        served.loaded(self._predictor.infos)
        self._questions = served.plan("", ())

    def predicted(self, crystals: Sequence[Crystal], names: Collection[str]) -> Sequence[Mapping[str, float]]:
        told: list[Mapping[str, float]] = [{} for _ in crystals]
        plan = tuple(question for question in self._questions if question.property in names)
        sound = [position for position, crystal in enumerate(crystals) if _is_sound(crystal)]
        outcomes = self._predictor.predict([crystals[position] for position in sound], plan)
        for position, outcome in zip(sound, outcomes, strict=True):
            told[position] = _values(outcome)
        return told


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


def _values(outcome: object) -> Mapping[str, float]:
    return {str(each.property): float(each.value) for each in getattr(outcome, "values", ())}
