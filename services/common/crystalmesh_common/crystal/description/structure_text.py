"""The structure of a crystal in words: type, symmetry, network, coordination and bond lengths."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import floor, gcd

import numpy as np

from crystalmesh_common.crystal.composition import anonymous_formula, composition_of, reduced_formula
from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.description.neighbours import Neighbourhood, neighbourhoods
from crystalmesh_common.crystal.description.network import (
    components,
    is_cation,
    shared_corners,
)
from crystalmesh_common.crystal.description.prototypes import prototype_label, structure_type_of
from crystalmesh_common.crystal.description.shapes import shape_of
from crystalmesh_common.crystal.description.structure_types import StructureType
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.crystal.symmetry import Symmetry, primitive_cell, symmetry_of

SYMPREC_ANGSTROM = 0.1
"""As of Materials Project and of `Material.space_group_number`: it sees through the noise of relaxations."""

_SYMMETRIZED_SYMPREC_ANGSTROM = 1e-3
_FEWEST_CORNERS = 3
_NETWORKS = ("molecules", "chains", "layers", "frameworks")
_SHARED = {1: "corners", 2: "edges"}


def describe_structure(crystal: Crystal, *, formula: bool = True, symprec: float = SYMPREC_ANGSTROM) -> str:
    """A few sentences on the structure of a crystal that passed `check_crystal`.

    They are the same from run to run and for every choice of cell, origin and order of sites, for all is
    said of the symmetrized primitive cell; only where a symmetry holds just within `symprec` may two cells
    differ in whether it is seen (1 crystal of 4,000). Without `formula` elements are letters, A for the
    rarest and, of two as frequent, for the less electronegative, and neither they nor a compound are named.

    "O (2/3): ..." is said of two thirds of the oxygen atoms. Takes 5 ms for 10 atoms. Raises
    `InvalidCrystalError` where the symmetry cannot be determined.
    """
    primitive = primitive_cell(crystal, symprec=symprec)
    symmetry = symmetry_of(primitive, symprec=_SYMMETRIZED_SYMPREC_ANGSTROM)
    around = neighbourhoods(primitive)
    # Every atom of an alloy has a polyhedron, and they share all that can be shared: only cations count.
    cations = {site: near for site, near in enumerate(around) if is_cation(primitive, site, near)}
    polyhedra = {site: near for site, near in cations.items() if len(near) >= _FEWEST_CORNERS}
    names = _Names(primitive, formula=formula)
    coordination = [len(near) for near in cations.values()]
    return " ".join(
        [
            _type_sentence(primitive, symmetry, coordination, formula=formula),
            _network_sentence(names, around),
            *_site_sentences(names, around, polyhedra),
        ]
    )


class _Names:
    """What the elements of a crystal are called: by symbol, or by letter where they stay unnamed."""

    def __init__(self, crystal: Crystal, *, formula: bool) -> None:
        self._numbers: list[int] = crystal.numbers.tolist()
        self._order = sorted(set(self._numbers), key=lambda number: (ELECTRONEGATIVITIES[number], number))
        shares = dict(composition_of(crystal))
        letters = sorted(self._order, key=lambda number: shares[number])
        self._names = {
            number: symbol_of(number) if formula else chr(ord("A") + letters.index(number))
            for number in self._order
        }

    def counted(self, sites: Sequence[int]) -> list[tuple[str, list[int]]]:
        """The sites by element, the least electronegative first."""
        by_number: dict[int, list[int]] = defaultdict(list)
        for place, site in enumerate(sites):
            by_number[self._numbers[site]].append(place)
        return [(self._names[number], by_number[number]) for number in self._order if number in by_number]

    def formula(self, sites: Sequence[int], *, reduced: bool) -> str:
        """The formula of some of the atoms: "TiO6"."""
        counts = [(name, len(places)) for name, places in self.counted(sites)]
        factor = gcd(*(count for _, count in counts)) if reduced else 1
        return "".join(name + (str(count // factor) if count > factor else "") for name, count in counts)


def _type_sentence(
    primitive: Crystal, symmetry: Symmetry, cation_coordination: Sequence[int], *, formula: bool
) -> str:
    known = structure_type_of(primitive, symmetry, cation_coordination)
    parts = [
        "" if known is None else _called(known, compound=formula),
        prototype_label(anonymous_formula(primitive), primitive, symmetry),
        symmetry.crystal_system,
        f"space group {symmetry.space_group_symbol} ({symmetry.space_group_number})",
    ]
    subject = f"{reduced_formula(primitive)}: " if formula else ""
    return f"{subject}{', '.join(part for part in parts if part)}."


def _called(known: StructureType, *, compound: bool) -> str:
    if not compound:
        return known.name
    return f"{known.name} ({known.compound} type)" if known.name else f"{known.compound} type"


def _network_sentence(names: _Names, around: Sequence[Neighbourhood]) -> str:
    """What hangs together, the most extended first."""
    found = components(around)
    if [component.dimension for component in found] == [3]:
        return "One connected framework."
    counts = Counter(
        (-component.dimension, names.formula(component.sites, reduced=component.dimension > 0))
        for component in found
    )
    parts: dict[int, list[str]] = defaultdict(list)
    for dimension, part in sorted(counts):
        parts[-dimension].append(part)
    sentence = ", ".join(f"{_NETWORKS[dimension]} of {' and '.join(of)}" for dimension, of in parts.items())
    return f"{sentence[0].upper()}{sentence[1:]}."


def _site_sentences(
    names: _Names, around: Sequence[Neighbourhood], polyhedra: Mapping[int, Neighbourhood]
) -> list[str]:
    """One sentence on all atoms of an element that differ in nothing but their bond lengths."""
    shared = shared_corners(polyhedra)
    labels = {site: names.formula([site], reduced=False) for site in polyhedra}
    for site, neighbourhood in polyhedra.items():
        labels[site] += names.formula(neighbourhood.sites.tolist(), reduced=False)
    sentences = []
    for name, sites in names.counted(range(len(around))):
        alike: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for site in sites:
            ligands = names.formula(around[site].sites.tolist(), reduced=False) if len(around[site]) else ""
            sharing = _sharing(shared[site], labels) if site in shared else ""
            alike[shape_of(around[site].vectors) if ligands else "", ligands, sharing].append(site)
        for (shape, _, sharing), group in sorted(alike.items()):
            share = _share(len(group), len(sites))
            bonds = _bonds(names, [around[site] for site in group])
            sentences.append(f"{name}{share}: {_joined(shape, bonds)}{sharing}.")
    return sentences


def _joined(shape: str, bonds: str) -> str:
    if not bonds:
        return "no neighbours"
    return f"{shape} of {bonds}" if shape else bonds


def _share(count: int, total: int) -> str:
    """Which part of an element's atoms, " (2/3)", or nothing for all."""
    factor = gcd(count, total)
    return f" ({count // factor}/{total // factor})" if count < total else ""


def _bonds(names: _Names, group: Sequence[Neighbourhood]) -> str:
    """How many neighbours of each element at which distances: "2 Ti at 1.95 Å, 4 Sr at 2.76-2.80 Å"."""
    lengths: dict[str, list[FloatArray]] = defaultdict(list)
    for neighbourhood in group:
        for name, places in names.counted(neighbourhood.sites.tolist()):
            lengths[name].append(neighbourhood.lengths[places])
    return ", ".join(
        f"{len(each[0])} {name} at {_range(np.concatenate(each))} Å" for name, each in lengths.items()
    )


def _sharing(others: Mapping[tuple[int, int], int], labels: Mapping[int, str]) -> str:
    """Which polyhedra share what: "; shares corners with 6 TiO6, faces with 8 SrO12"."""
    counts: dict[str, Counter[str]] = {}
    for corners, (other, count) in sorted((corners, (other, n)) for (other, corners), n in others.items()):
        counts.setdefault(_SHARED.get(corners, "faces"), Counter())[labels[other]] += count
    kinds = [
        f"{kind} with " + " and ".join(f"{count} {label}" for label, count in sorted(of.items()))
        for kind, of in counts.items()
    ]
    return "; shares " + ", ".join(kinds) if kinds else ""


def _range(lengths: FloatArray) -> str:
    shortest, longest = _two_decimals(float(lengths.min())), _two_decimals(float(lengths.max()))
    return shortest if shortest == longest else f"{shortest}-{longest}"


def _two_decimals(length: float) -> str:
    """The length rounded at an odd place: numbers that people type end in 5 and would round either way."""
    return f"{floor(length * 100 + 0.5001) / 100:.2f}"
