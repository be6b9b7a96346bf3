"""Whether crystals are the same material, for pairs, for sets, and against a growing collection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from moyopy import minkowski_reduce

from crystalmesh_common.crystal.composition import Composition, reduced_composition
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import primitive_cell
from crystalmesh_common.runtime.errors import InvalidCrystalError, TooManyAtomsError

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure
    from pymatgen.core.structure_matcher import StructureMatcher

MAX_MATCHED_ATOMS = 200
"""Finding pymatgen's primitive cell of a distorted one takes a second here and grows with the cube."""
_LARGE_CELL_SYMPREC_ANGSTROM = 0.1
_SPHERE = 4 / 3 * np.pi * 1.2**3
_MAX_LATTICE_POINTS = 20_000
"""StructureMatcher tries those within 1.2 times the longest lattice vector, 20,000 in about a second."""


def same_structure(first: Crystal, second: Crystal) -> bool:
    """Whether pymatgen's StructureMatcher, at its default tolerances, takes two crystals for one.

    It compares elements, primitive cells (within 20 % of lengths and 5° of angles) and sites (within 0.3
    of the mean spacing) after scaling to one volume. Both crystals have passed `check_crystal`; magnetic
    moments do not count. Raises `TooManyAtomsError` as `StructureIndex` does.
    """
    index = StructureIndex()
    index.add(first)
    return index.find(second) is not None


def dedupe(crystals: Iterable[Crystal]) -> list[list[int]]:
    """Groups of the positions of crystals that are the same, in order of their first members.

    The groups of `StructureMatcher().group_structures`, exactly: each crystal joins the first group whose
    first member it matches. Costs what `StructureIndex` costs.
    """
    index = StructureIndex()
    groups: dict[int, list[int]] = {}
    for position, crystal in enumerate(crystals):
        groups.setdefault(index.add(crystal), []).append(position)
    return list(groups.values())


@dataclass(frozen=True)
class MatchTolerance:
    """How far two structures may differ and still be the same; the defaults are StructureMatcher's."""

    length_fraction: float = 0.2  # relative difference of lattice lengths
    site_fraction: float = 0.3  # distance of sites, of the mean free length per atom
    angle_degrees: float = 5.0  # difference of lattice angles


class ComparableCrystal:
    """A crystal that is reduced once, when first compared, and then compared many times.

    Raises as `StructureIndex` for what would take minutes.
    """

    def __init__(self, crystal: Crystal) -> None:
        self._entry = _Entry(-1, _comparable(crystal))

    @property
    def reduced(self) -> Structure:
        """The Niggli-reduced primitive structure, whatever the tolerance."""
        return self._entry.reduced


class PairMatcher:
    """Says of pairs how far apart they are, if they are the same within a tolerance.

    Answers are those of StructureMatcher: `fit` decides, `get_rms_dist` measures. Not for several threads
    at once.
    """

    def __init__(self, tolerance: MatchTolerance | None = None) -> None:
        from pymatgen.core.structure_matcher import StructureMatcher  # noqa: PLC0415 -- half a second

        within = tolerance or MatchTolerance()
        self._tolerance = within
        self._matcher = StructureMatcher(
            ltol=within.length_fraction,
            stol=within.site_fraction,
            angle_tol=within.angle_degrees,
            primitive_cell=False,  # crystals come reduced; it would look for their primitive cells again
        )

    def rms_distance(self, known: ComparableCrystal, crystal: ComparableCrystal) -> float | None:
        """Root mean square distance of matched sites, of the mean free length per atom; None: not same."""
        first, second = known.reduced, crystal.reduced
        if len(first) != len(second):
            return None
        if not self._matcher.fit(first, second, skip_structure_reduction=True):
            return None
        distance = self._matcher.get_rms_dist(first, second)  # type: ignore[no-untyped-call]
        # Rounding may hide at its edge what `fit` has just seen.
        return self._tolerance.site_fraction if distance is None else float(distance[0])


class StructureIndex:
    """Distinct crystals, and which of them a given crystal is.

    Answers are those of StructureMatcher against every crystal in it. What the buckets part can never
    match: other reduced compositions, other numbers of sites in the primitive cell as StructureMatcher
    finds it. Symmetry and volume are no keys, because slightly distorted and scaled copies do match. A
    bit-for-bit copy of a crystal seen before is recognised without matching.

    Heuristic is one thing: cells of more than 200 atoms are first reduced to their primitive cell at a
    tolerance of 0.1 Å (StructureMatcher would search at 0.25 Å, for minutes). Refused, because matching
    them could take minutes, are those that stay larger (`TooManyAtomsError`) and needle-shaped cells
    (`InvalidCrystalError`); the index is as before.

    Costs about 1.5 ms per crystal and as much per comparison in a bucket, nothing for a composition met
    for the first time. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._crystals: list[Crystal] = []
        self._buckets: dict[Composition, list[_Entry]] = defaultdict(list)
        self._seen: dict[bytes, int] = {}
        self._matcher: StructureMatcher | None = None

    def __len__(self) -> int:
        return len(self._crystals)

    def __getitem__(self, position: int) -> Crystal:
        return self._crystals[position]

    def find(self, crystal: Crystal) -> int | None:
        """The position of the first crystal in the index that is the same as this one, or None."""
        return self._find(_Entry(-1, _comparable(crystal)), _fingerprint(crystal))

    def add(self, crystal: Crystal) -> int:
        """The position of the crystal that this one is, which is its own if it is new."""
        entry = _Entry(len(self._crystals), _comparable(crystal))
        fingerprint = _fingerprint(crystal)
        position = self._find(entry, fingerprint)
        if position is None:
            position = entry.position
            self._crystals.append(crystal)
            self._buckets[reduced_composition(crystal)].append(entry)
        self._seen[fingerprint] = position
        return position

    def _find(self, entry: _Entry, fingerprint: bytes) -> int | None:
        if fingerprint in self._seen:
            return self._seen[fingerprint]
        for known in self._buckets.get(reduced_composition(entry.crystal), ()):
            if len(known.reduced) == len(entry.reduced) and self._match(known, entry):
                return known.position
        return None

    def _match(self, known: _Entry, entry: _Entry) -> bool:
        if self._matcher is None:
            from pymatgen.core.structure_matcher import StructureMatcher  # noqa: PLC0415 -- half a second

            self._matcher = StructureMatcher()
        # The known one first, always: the matcher is not quite symmetric.
        return bool(self._matcher.fit(known.reduced, entry.reduced, skip_structure_reduction=True))


@dataclass
class _Entry:
    """A crystal with its reduced structure, which is found when first compared: most never are."""

    position: int
    crystal: Crystal
    _reduced: Structure | None = field(default=None, repr=False)

    @property
    def reduced(self) -> Structure:
        if self._reduced is None:
            self._reduced = _reduce(self.crystal)
        return self._reduced


def _comparable(crystal: Crystal) -> Crystal:
    """The bare crystal in a cell that can be compared in about a second, else an error."""
    if len(crystal) > MAX_MATCHED_ATOMS:
        crystal = primitive_cell(crystal, symprec=_LARGE_CELL_SYMPREC_ANGSTROM)
    if len(crystal) > MAX_MATCHED_ATOMS:
        raise TooManyAtomsError(
            f"{len(crystal)} atoms in the primitive cell; at most {MAX_MATCHED_ATOMS} can be compared",
            atoms=len(crystal),
            max_atoms=MAX_MATCHED_ATOMS,
        )
    basis, _ = minkowski_reduce(crystal.cell.tolist())
    longest = float(np.linalg.norm(basis, axis=1).max())
    if _SPHERE * longest**3 / crystal.volume > _MAX_LATTICE_POINTS:
        raise InvalidCrystalError("the cell is too long and thin to be compared", field="cell_angstrom")
    return Crystal(cell=crystal.cell, numbers=crystal.numbers, frac_coords=crystal.frac_coords)


def _reduce(crystal: Crystal) -> Structure:
    """The Niggli-reduced primitive structure that StructureMatcher compares."""
    structure = to_structure(crystal)
    try:
        reduced = structure.get_reduced_structure()
    except ValueError:  # the Niggli algorithm did not converge
        reduced = structure.get_reduced_structure("LLL")
    return reduced.get_primitive_structure()


def _fingerprint(crystal: Crystal) -> bytes:
    """Bytes that are equal for bit-for-bit copies only."""
    return b"".join(
        np.ascontiguousarray(array).tobytes()
        for array in (crystal.numbers, crystal.cell, crystal.frac_coords)
    )
