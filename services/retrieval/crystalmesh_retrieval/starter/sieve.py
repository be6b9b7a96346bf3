"""Which relaxed crystals are worth keeping, and why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crystalmesh_common.crystal.distances import shortest_distance
from crystalmesh_common.crystal.matching import StructureIndex
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.starter.candidates import crystal_of
from crystalmesh_retrieval.starter.labelling import Labels
from crystalmesh_retrieval.starter.ledger import Record

MAX_ABOVE_HULL_EV_PER_ATOM = 0.5
_CLOSEST_ANGSTROM = 0.6
_LARGEST_ANGSTROM3_PER_ATOM = 150.0
"""More than any element at ambient pressure takes: what is larger has fallen apart."""


@dataclass
class Kept:
    """The crystals that stay, and how many went for which reason."""

    records: list[Record] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def drop(self, reason: str) -> None:
        self.reasons[reason] += 1


def sound(results: Iterable[Record]) -> Kept:
    """Those that converged to a crystal."""
    kept = Kept()
    for record in results:
        reason = _unsound(record)
        if reason:
            kept.drop(reason)
        else:
            kept.records.append(record)
    return kept


def worth_keeping(sound_ones: Sequence[Record], labels: Mapping[str, Labels]) -> Kept:
    """Those that are not far above the hull, each structure once: the one of the lowest energy."""
    kept = Kept()
    scored = [record for record in sound_ones if record["id"] in labels]
    kept.reasons["not scored"] += len(sound_ones) - len(scored)
    index = StructureIndex()
    for record in sorted(scored, key=lambda r: (labels[r["id"]].energy_above_hull, r["id"])):
        if labels[record["id"]].energy_above_hull > MAX_ABOVE_HULL_EV_PER_ATOM:
            kept.drop("far above the hull")
            continue
        crystal = crystal_of(record)
        try:
            if index[index.add(crystal)] is not crystal:
                kept.drop("same as another after relaxation")
                continue
        except CrystalMeshError:
            kept.drop("cannot be compared")
            continue
        kept.records.append(record)
    kept.reasons += Counter()  # without those that never came up
    return kept


def _unsound(record: Record) -> str:
    if record["stop"] == "failed":
        return f"failed: {record['reason']}"
    if record["stop"] != "converged":
        return str(record["stop"])
    crystal = crystal_of(record)
    if crystal.volume / len(crystal) > _LARGEST_ANGSTROM3_PER_ATOM:
        return "fallen apart"
    if shortest_distance(crystal) < _CLOSEST_ANGSTROM:
        return "atoms too close"
    return ""
