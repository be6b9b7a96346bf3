"""Which well-known structure type a crystal has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import lru_cache

from crystalmesh_common.crystal.description.structure_types import STRUCTURE_TYPES, StructureType
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import Symmetry

_FAMILIES = {
    "triclinic": "a",
    "monoclinic": "m",
    "orthorhombic": "o",
    "tetragonal": "t",
    "trigonal": "h",
    "hexagonal": "h",
    "cubic": "c",
}
_LATTICE_POINTS = {"P": 1, "A": 2, "C": 2, "I": 2, "F": 4, "R": 1}
"""Primitive cells in the conventional one; as AFLOW counts, which takes the rhombohedral cell for R."""


def prototype_label(anonymous_formula: str, primitive: Crystal, symmetry: Symmetry) -> str:
    """Stoichiometry, Pearson symbol and space group number as in AFLOW's labels: "AB_cF8_225"."""
    centring = symmetry.space_group_symbol[0]
    atoms = len(primitive) * _LATTICE_POINTS[centring]
    pearson = f"{_FAMILIES[symmetry.crystal_system]}{centring}{atoms}"
    return f"{anonymous_formula}_{pearson}_{symmetry.space_group_number}"


def structure_type_of(
    primitive: Crystal, symmetry: Symmetry, cation_coordination: Collection[int]
) -> StructureType | None:
    """The structure type of a primitive cell with its symmetry, None when it is not among the known ones.

    A type is known by its space group and the sites that each element takes, whatever the elements are, and
    where that is not enough, by the coordination numbers of its cations. Free coordinates and the ratios of
    the axes are not compared, so a name says "isopointal", which is nearly always the same type.
    """
    candidates = _types_by_sites().get((symmetry.space_group_number, _sites(primitive, symmetry)), ())
    coordination = tuple(sorted(set(cation_coordination)))
    for candidate in candidates:
        if candidate.cation_coordination in (None, coordination):
            return candidate
    return None


def _sites(primitive: Crystal, symmetry: Symmetry) -> str:
    """What `StructureType.sites` would be, in canonical spelling."""
    counts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for number, orbit in zip(primitive.numbers.tolist(), symmetry.orbits, strict=True):
        counts[number][orbit] += 1
    return _canonical(
        " | ".join(
            " + ".join(f"{count} {symmetry.site_symmetries[orbit]}" for orbit, count in orbits.items())
            for orbits in counts.values()
        )
    )


def _canonical(sites: str) -> str:
    """The same for every order of elements and orbits, and every orientation of a site's symmetry."""

    def orbit(text: str) -> str:
        count, point_group = text.split()
        return f"{count} {''.join(sorted(point_group.replace('.', '')))}"

    elements = (sorted(orbit(text) for text in element.split(" + ")) for element in sites.split(" | "))
    return " | ".join(sorted(" + ".join(orbits) for orbits in elements))


@lru_cache(maxsize=1)
def _types_by_sites() -> dict[tuple[int, str], list[StructureType]]:
    types: dict[tuple[int, str], list[StructureType]] = defaultdict(list)
    for known in STRUCTURE_TYPES:
        types[known.space_group_number, _canonical(known.sites)].append(known)
    return dict(types)
