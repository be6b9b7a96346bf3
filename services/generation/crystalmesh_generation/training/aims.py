"""What might have been asked for, when the answer is a given crystal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.facts import kind_by_gap
from crystalmesh_generation.language.portrait import Portrait

_FORMULA, _ELEMENTS, _REQUIRED = 0.4, 0.15, 0.25
_FORBIDDEN, _ALLOWED = 0.1, 0.05
_SPACE_GROUP, _CRYSTAL_SYSTEM = 0.35, 0.1
_PROPERTY = 0.25
_TEXT = 0.15
_ELEMENTS_KNOWN = 94
_WIDTHS: Mapping[str, float] = {
    "formation_energy_ev_per_atom": 0.3,
    "band_gap_ev": 0.7,
    "energy_above_hull_ev_per_atom": 0.03,
    "bulk_modulus_gpa": 30.0,
    "magnetization_mu_b_per_cubic_angstrom": 0.02,
    "density_g_per_cubic_centimeter": 1.0,
    "atoms_in_cell": 4.0,
}
"""About how far from the value a range may end."""


def draw_aim(portrait: Portrait, random: np.random.Generator) -> Aim:
    """An aim that the crystal meets."""
    present = [number for number, _ in portrait.composition]
    chance = random.random()
    formula = portrait.composition if chance < _FORMULA else ()
    elements = frozenset(present) if _FORMULA <= chance < _FORMULA + _ELEMENTS else frozenset()
    free = not formula and not elements
    named = _FORMULA + _ELEMENTS <= chance < _FORMULA + _ELEMENTS + _REQUIRED
    required = _some(present, random) if named else frozenset()
    forbidden = _others(present, random) if free and random.random() < _FORBIDDEN else frozenset()
    allowed = frozenset(present) | _others(present, random) if free and random.random() < _ALLOWED else None
    symmetry = random.random()
    return Aim(
        formula=formula,
        elements=elements,
        required=required,
        allowed=allowed or frozenset(),
        forbidden=forbidden,
        space_group_number=portrait.space_group_number if symmetry < _SPACE_GROUP else None,
        crystal_system=(
            portrait.crystal_system if _SPACE_GROUP <= symmetry < _SPACE_GROUP + _CRYSTAL_SYSTEM else ""
        ),
        ranges={
            name: draw_range(portrait.properties[name], width, random)
            for name, width in _WIDTHS.items()
            if name in portrait.properties and random.random() < _PROPERTY
        },
        text=_text(portrait) if random.random() < _TEXT else "",
    )


def draw_range(value: float, width: float, random: np.random.Generator) -> Range:
    """The value itself, or a range around it that is open to one side or to none."""
    below, above = value - width * random.random(), value + width * random.random()
    low = max(0.0, below) if value >= 0 else below
    kind = random.integers(4)
    if kind == 0:
        return Range(value, value)
    if kind == 1:
        return Range(min=low)
    if kind == 2:
        return Range(max=above)
    return Range(low, above)


def _some(numbers: list[int], random: np.random.Generator) -> frozenset[int]:
    count = int(random.integers(1, len(numbers) + 1))
    return frozenset(random.choice(numbers, count, replace=False).tolist())


def _others(present: list[int], random: np.random.Generator) -> frozenset[int]:
    drawn = random.integers(1, _ELEMENTS_KNOWN + 1, size=int(random.integers(1, 6)))
    return frozenset(drawn.tolist()) - frozenset(present)


def _text(portrait: Portrait) -> str:
    """What a scientist might add in her own words."""
    said = [portrait.structure_type]
    if "band_gap_ev" in portrait.properties:
        said.append(kind_by_gap(portrait.properties["band_gap_ev"]))
    if portrait.properties.get("energy_above_hull_ev_per_atom", 1.0) < 0.025:
        said.append("stable")
    return " ".join(word for word in said if word)
