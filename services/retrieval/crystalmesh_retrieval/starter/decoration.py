"""A prototype with other elements in it, at a volume near to the one that it will relax to."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.pymatgen_codec import from_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.starter.prototypes import Prototype

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

_VOLUME_RANGE = (0.25, 4.0)
"""A volume per atom is guessed within it, as a share of 20 Å³."""
_TYPICAL_ANGSTROM3 = 20.0
_CALIBRATION_RANGE = (0.8, 1.35)
"""How far a prototype's own volume may correct the guess."""
_LOOSE_ANGSTROM3 = {
    "He": 12.0,
    "Ne": 22.0,
    "Ar": 37.0,
    "Kr": 45.0,
    "Xe": 58.0,
    "H": 11.5,
    "N": 22.5,
    "O": 17.0,
    "F": 16.0,
    "Cl": 29.0,
    "Br": 33.0,
    "I": 43.0,
}
"""Per atom of elements whose solids no bonds hold together."""
_PART = re.compile(r"([A-Z][a-z]?)(\d*)")


@dataclass(frozen=True, eq=False)
class Decoration:
    """Which element is put where. Two with one `name` are the same."""

    prototype: Prototype
    elements: tuple[str, ...]  # in the place of the prototype's, in order; one may come twice

    @property
    def name(self) -> str:
        """What it is called after: unique and the same in every run."""
        return f"{self.prototype.key} {self.prototype.label}: {' '.join(self.elements)}"

    @property
    def amounts(self) -> dict[str, int]:
        """Atoms per formula unit of the prototype."""
        amounts: dict[str, int] = {}
        for symbol, count in zip(self.elements, self.prototype.counts, strict=True):
            amounts[symbol] = amounts.get(symbol, 0) + count
        return amounts


def decoration_of(prototype: Prototype, formula: str) -> Decoration:
    """The decoration that a formula in the order of the prototype's elements means.

    Raises ValueError where its numbers are not those of the prototype.
    """
    parts = [(symbol, int(count or 1)) for symbol, count in _PART.findall(formula)]
    if tuple(count for _, count in parts) != prototype.counts:
        raise ValueError(f"{formula} does not have the numbers of {prototype.key}: {prototype.counts}")
    return Decoration(prototype, tuple(symbol for symbol, _ in parts))


def decorated(decoration: Decoration) -> Crystal:
    """The crystal, ready to be relaxed; its id is `cm-`, the formula, and digits of what it is made from."""
    structure = decoration.prototype.structure.copy()
    structure.replace_species(dict(zip(decoration.prototype.elements, decoration.elements, strict=True)))
    calibration = 1.0 if _is_loose(structure) else _calibration(decoration.prototype)
    structure.scale_lattice(bonded_volume(structure) * calibration)
    crystal = from_structure(structure)
    digest = hashlib.sha256(decoration.name.encode()).hexdigest()[:8]
    return from_structure(structure, id=f"cm-{reduced_formula(crystal)}-{digest}")


def bonded_volume(structure: Structure) -> float:
    """The volume in Å³ at which the closest neighbours are as far apart as mined bond lengths say."""
    from pymatgen.core.structure_prediction.volume_predictor import (  # noqa: PLC0415 -- half a second
        DLSVolumePredictor,
    )

    if _is_loose(structure):
        return _LOOSE_ANGSTROM3[structure[0].specie.symbol] * len(structure)
    low, high = _VOLUME_RANGE
    start = structure.copy()
    start.scale_lattice(_TYPICAL_ANGSTROM3 * len(start))
    with warnings.catch_warnings():
        # Of elements without mined bonds; their atomic radii serve.
        warnings.simplefilter("ignore")
        predictor = DLSVolumePredictor(min_scaling=low, max_scaling=high)  # type: ignore[no-untyped-call]
        return float(predictor.predict(start))


@lru_cache(maxsize=1024)
def _calibration(prototype: Prototype) -> float:
    """How much larger the prototype's own compound is than its bonds say."""
    low, high = _CALIBRATION_RANGE
    return min(max(prototype.structure.volume / bonded_volume(prototype.structure), low), high)


def _is_loose(structure: Structure) -> bool:
    return len(structure.composition) == 1 and structure[0].specie.symbol in _LOOSE_ANGSTROM3


def chemical_system_of(elements: Sequence[str]) -> str:
    """The symbols in alphabetical order, joined by hyphens."""
    return "-".join(sorted(set(elements)))
