"""Prototypes: structures whose elements are going to be exchanged."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from crystalmesh_common.crystal.pymatgen_codec import from_structure
from crystalmesh_common.crystal.symmetry import space_group_number
from crystalmesh_retrieval.starter.structure_types import STRUCTURE_TYPES, TypeRecord

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

MAX_ATOMS = 32
"""In the primitive cell: alpha sulphur has as many."""


_LEFT_OUT = frozenset(
    (
        "A_aP4_2_aci",
        "AB_mP4_11_e_e",
        "ABC_cP12_198_a_a_a",
        "A5B2_hR7_166_a2c_c",
        "A_cI16_206_c",
        "AB_hR16_148_cf_cf",
        "ABCD_oP16_57_d_c_d_d",
        "ABC_oP6_59_a_a_a",
        "AB2CD2_hP36_163_h_i_bf_i",
        "A2B_tI12_141_e_a",
        "AB_tI8_141_a_b",
        "AB2_hP24_194_ef_fgh",
    )
)
"""Of AFLOW's: californium, cells that pymatgen has with wrong coordinates, and molecules."""


@dataclass(frozen=True, eq=False)
class Prototype:
    """A structure type by a compound that has it."""

    key: str  # the compound and the space group, "NaCl 225"; once more the label where that is not enough
    label: str  # AFLOW's, "AB_cF8_225_a_b"
    name: str  # "Halite, Rock Salt", "" for none
    structure: Structure  # the primitive cell of the compound, at its volume

    @property
    def elements(self) -> tuple[str, ...]:
        """The symbols of the compound by electronegativity: what a decoration puts others for, in order."""
        return elements_by_electronegativity(self.structure)

    @property
    def counts(self) -> tuple[int, ...]:
        """Atoms of each element per formula unit, in order."""
        amounts = self.structure.composition.reduced_composition
        return tuple(round(amounts[symbol]) for symbol in self.elements)

    @property
    def text(self) -> str:
        """How a person would call it."""
        return f"{self.label} ({self.name})" if self.name else self.label


def elements_by_electronegativity(structure: Structure) -> tuple[str, ...]:
    """The symbols in the order in which formulas are printed."""
    return tuple(
        element.symbol
        for element in sorted(structure.composition.elements, key=lambda e: (e.X if e.X == e.X else 9.9, e.Z))
    )


@lru_cache(maxsize=1)
def prototypes() -> Mapping[str, Prototype]:
    """By key: AFLOW's from pymatgen, then those that it lacks; ordered, up to MAX_ATOMS atoms."""
    found: dict[str, Prototype] = {}
    for label, name, structure in [*_of_aflow(), *map(_of_record, STRUCTURE_TYPES)]:
        primitive = structure.get_primitive_structure()
        if len(primitive) > MAX_ATOMS:
            continue
        number = space_group_number(from_structure(primitive))
        key = f"{primitive.composition.reduced_formula} {number}"
        if key in found:
            key = f"{key} {label}"
        if key not in found:
            found[key] = Prototype(key, label, name, primitive)
    return found


def _of_aflow() -> Iterator[tuple[str, str, Structure]]:
    with warnings.catch_warnings():
        # It reads 288 structures at import and warns about how some of them are written.
        warnings.simplefilter("ignore")
        from pymatgen.analysis import prototypes as library  # noqa: PLC0415 -- seconds
    for record in library.AFLOW_PROTOTYPE_LIBRARY:  # type: ignore[attr-defined]
        structure, tags = record["snl"].structure, record["tags"]
        if tags["aflow"] not in _LEFT_OUT and structure.is_ordered and len(structure) <= 4 * MAX_ATOMS:
            names = (tags["mineral"], tags["strukturbericht"])
            yield tags["aflow"], next((name for name in names if name and name != "None"), ""), structure


def _of_record(record: TypeRecord) -> tuple[str, str, Structure]:
    from pymatgen.core.lattice import Lattice  # noqa: PLC0415 -- half a second
    from pymatgen.core.structure import Structure  # noqa: PLC0415

    structure = Structure.from_spacegroup(
        record.space_group,
        Lattice.from_parameters(*record.cell),
        [site[0] for site in record.sites],
        [site[1:] for site in record.sites],
    )
    if len(structure) != record.atoms:
        raise ValueError(f"{record.name} has {len(structure)} atoms in its cell instead of {record.atoms}")
    return record.label, record.name, structure
