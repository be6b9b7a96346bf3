"""Which materials of a catalog are the same structure as a crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.matching import ComparableCrystal, MatchTolerance, PairMatcher
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalError
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot
from crystalmesh_retrieval.matching.candidates import Candidates
from crystalmesh_retrieval.search.materials import MaterialReader
from crystalmesh_retrieval.search.recent import Recent

_KEPT_CRYSTALS = 4096

Known: TypeAlias = ComparableCrystal | None
"""A material ready to be compared; None for one that cannot be."""


@dataclass(frozen=True)
class Match:
    """A material that is the same structure."""

    material_id: str
    rms_distance_fraction: float  # of the mean free length per atom


@dataclass(frozen=True)
class Matches:
    """The materials that a crystal is, the closest first."""

    matches: Sequence[Match]
    compared: int  # materials of the same reduced formula


class CatalogMatcher:
    """Compares crystals with the materials of catalogs. Threads may share it."""

    def __init__(self, reader: MaterialReader) -> None:
        self._reader = reader
        self._candidates = Candidates()
        # By content, so that what is known of a material outlives the version of its catalog.
        self._known: Recent[bytes, Known] = Recent(_KEPT_CRYSTALS)

    def find(self, crystal: Crystal, snapshot: Snapshot, tolerance: MatchTolerance) -> Matches:
        """All materials that are the crystal, in some milliseconds a material of its formula.

        Raises TooManyAtomsError and InvalidCrystalError for crystals that would take minutes to compare; a
        material that would is no match.
        """
        candidates = self._candidates.of(snapshot, reduced_formula(crystal))
        if not candidates:
            return Matches((), 0)
        asked = ComparableCrystal(crystal)
        matcher = PairMatcher(tolerance)
        found = []
        for location, known in zip(candidates, self._comparables(snapshot, candidates), strict=True):
            distance = None if known is None else matcher.rms_distance(known, asked)
            if distance is not None:
                found.append(Match(_id(snapshot, location), distance))
        found.sort(key=lambda match: (match.rms_distance_fraction, match.material_id))
        return Matches(found, len(candidates))

    def same(self, crystal: Crystal, snapshot: Snapshot, locations: Sequence[Location]) -> list[bool]:
        """Of each of these materials, whether it is the crystal, at the default tolerances."""
        if not locations:
            return []
        try:
            asked = ComparableCrystal(crystal)
        except CrystalError:  # too large to be compared: then none is known to be the same
            return [False] * len(locations)
        matcher = PairMatcher()
        return [
            known is not None and matcher.rms_distance(known, asked) is not None
            for known in self._comparables(snapshot, locations)
        ]

    def _comparables(self, snapshot: Snapshot, locations: Sequence[Location]) -> list[Known]:
        return [
            self._known.get(snapshot.content_hash(location), partial(self._comparable, snapshot, location))
            for location in locations
        ]

    def _comparable(self, snapshot: Snapshot, location: Location) -> Known:
        (material,) = self._reader.read(snapshot, [location])
        try:
            return ComparableCrystal(material.crystal)
        except CrystalError:
            return None


def _id(snapshot: Snapshot, location: Location) -> str:
    segment, row = location
    return str(snapshot.segments[segment].texts("id")[row].as_py())
