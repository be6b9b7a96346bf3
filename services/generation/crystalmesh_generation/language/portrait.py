"""What the language model is told of a crystal, and learns to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np

from crystalmesh_common.crystal.composition import Composition, anonymous_formula, composition_of
from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.description.neighbours import neighbourhoods
from crystalmesh_common.crystal.description.network import is_cation
from crystalmesh_common.crystal.description.prototypes import structure_type_of
from crystalmesh_common.crystal.description.shapes import shape_of
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import Crystal, FloatArray, cell_parameters
from crystalmesh_common.crystal.symmetry import Symmetry, primitive_cell, symmetry_of
from crystalmesh_common.runtime.errors import InvalidCrystalError

TOLD_PROPERTIES = (
    "formation_energy_ev_per_atom",
    "band_gap_ev",
    "energy_above_hull_ev_per_atom",
    "bulk_modulus_gpa",
    "magnetization_mu_b_per_cubic_angstrom",
)
"""Those that lessons tell of references and ask of crystals, by the names in the API."""

SYMPREC_ANGSTROM = 0.1
_STATES_TRIED = 20_000


@dataclass(frozen=True)
class Environment:
    """What most atoms of an element have around them."""

    number: int
    shape: str  # "octahedron", "" for none that has a name
    coordination: int
    ligands: tuple[int, ...]  # the neighbours' elements, the least electronegative first


@dataclass(frozen=True)
class Portrait:
    """A crystal as it can be told in words; what is not known is left out."""

    composition: Composition  # of the cell, the least electronegative element first
    anonymous_formula: str
    space_group_number: int
    space_group_symbol: str
    crystal_system: str
    structure_type: str  # "rock salt", "" for none that has a name
    environments: tuple[Environment, ...]  # one per element, in the composition's order
    oxidation_states: Mapping[int, int]  # empty: none balance
    lengths_angstrom: tuple[float, float, float]
    volume_per_atom: float
    properties: Mapping[str, float] = field(default_factory=dict)  # by the names in the API


def portrait_of(crystal: Crystal, properties: Mapping[str, float] | None = None) -> Portrait:
    """The portrait of a crystal that passed `check_crystal`; about 5 ms for 10 atoms.

    Symmetry and surroundings are those within 0.1 Å; a crystal whose symmetry cannot be determined has
    space group 1.
    """
    composition = by_electronegativity(composition_of(crystal))
    primitive, symmetry = _symmetrized(crystal)
    around = neighbourhoods(primitive)
    coordination = [len(near) for site, near in enumerate(around) if is_cation(primitive, site, near)]
    known = structure_type_of(primitive, symmetry, coordination) if symmetry else None
    lengths, _ = cell_parameters(crystal.cell)
    environments = []
    for number, _ in composition:
        kinds = Counter(
            (shape_of(near.vectors) if len(near) else "", tuple(primitive.numbers[near.sites].tolist()))
            for site, near in enumerate(around)
            if primitive.numbers[site] == number
        )
        environments.append(_environment(number, kinds))
    return Portrait(
        composition=composition,
        anonymous_formula=anonymous_formula(crystal),
        space_group_number=symmetry.space_group_number if symmetry else 1,
        space_group_symbol=symmetry.space_group_symbol if symmetry else "P1",
        crystal_system=symmetry.crystal_system if symmetry else "triclinic",
        structure_type=known.name if known else "",
        environments=tuple(environments),
        oxidation_states=oxidation_states(composition),
        lengths_angstrom=_three(lengths),
        volume_per_atom=crystal.volume / len(crystal),
        properties=properties or {},
    )


def by_electronegativity(composition: Composition) -> Composition:
    """The same with the least electronegative element first, as formulas are written."""
    return tuple(sorted(composition, key=lambda each: (ELECTRONEGATIVITIES[each[0]], each[0])))


@lru_cache(maxsize=65_536)
def _balanced(composition: Composition) -> tuple[tuple[int, int], ...]:
    if len(composition) < 2:
        return ()
    numbers = [number for number, _ in composition]
    counts = np.array([count for _, count in composition])
    for states in (_common_states, _all_states):
        options = [states(number) for number in numbers]
        if not all(options) or np.prod([len(each) for each in options]) > _STATES_TRIED:
            continue
        fitting = [
            chosen
            for chosen in product(*options)
            if int(np.dot(chosen, counts)) == 0 and min(chosen) < 0 and _ordered(numbers, chosen)
        ]
        if fitting:
            best = min(fitting, key=lambda chosen: (sum(map(abs, chosen)), chosen))
            return tuple(zip(numbers, best, strict=True))
    return ()


def oxidation_states(composition: Composition) -> Mapping[int, int]:
    """One oxidation state per element that balance the charge, of the common ones where those do.

    Every cation is less electronegative than every anion. Empty where none balance, and for elements.
    """
    return dict(_balanced(composition))


def _ordered(numbers: list[int], states: tuple[int, ...]) -> bool:
    cations = [ELECTRONEGATIVITIES[n] for n, state in zip(numbers, states, strict=True) if state > 0]
    anions = [ELECTRONEGATIVITIES[n] for n, state in zip(numbers, states, strict=True) if state < 0]
    return bool(cations) and max(cations) < min(anions)


@lru_cache(maxsize=128)
def _common_states(number: int) -> tuple[int, ...]:
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    return tuple(int(state) for state in Element(symbol_of(number)).common_oxidation_states if state)


@lru_cache(maxsize=128)
def _all_states(number: int) -> tuple[int, ...]:
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    return tuple(int(state) for state in Element(symbol_of(number)).oxidation_states if state)


def _symmetrized(crystal: Crystal) -> tuple[Crystal, Symmetry | None]:
    try:
        primitive = primitive_cell(crystal, symprec=SYMPREC_ANGSTROM)
        return primitive, symmetry_of(primitive, symprec=1e-3)
    except InvalidCrystalError:
        return crystal, None


def _environment(number: int, kinds: Counter[tuple[str, tuple[int, ...]]]) -> Environment:
    (shape, around), _ = min(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    ligands = sorted(set(around), key=lambda each: (ELECTRONEGATIVITIES[each], each))
    return Environment(number, shape, len(around), tuple(ligands))


def _three(values: FloatArray) -> tuple[float, float, float]:
    first, second, third = values.tolist()
    return first, second, third
