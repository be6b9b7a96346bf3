"""The crystals to compute: elements, well-known compounds, and what substitution makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from crystalmesh_common.crystal.distances import shortest_distance
from crystalmesh_common.crystal.matching import StructureIndex
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.starter.decoration import Decoration, decorated
from crystalmesh_retrieval.starter.ledger import Record, read_records
from crystalmesh_retrieval.starter.parents import elements, parents, well_known
from crystalmesh_retrieval.starter.selection import Coverage, ranked
from crystalmesh_retrieval.starter.substitution import substitutions

MAX_ATOMS = 14
"""In the primitive cell of what is made by substitution; a well-known compound may be larger."""
_CLOSEST_ANGSTROM = 0.6


@dataclass(frozen=True, eq=False)
class Candidate:
    """A crystal that has not been computed yet, and how it was made."""

    crystal: Crystal
    prototype: str  # "AB_cF8_225_a_b (Halite, Rock Salt)"
    origin: str  # "element", "known" or "substitution"
    substitution: str  # "Na+ Cl- -> K+ Br-", "" where nothing was substituted
    log_likelihood: float = 0.0

    def record(self) -> Record:
        """As a line of a ledger."""
        crystal = self.crystal
        return {
            "id": crystal.id,
            "prototype": self.prototype,
            "origin": self.origin,
            "substitution": self.substitution,
            "log_likelihood": round(self.log_likelihood, 3),
            **crystal_record(crystal),
        }


def candidates(count: int) -> Iterator[Candidate]:
    """At most so many, all different, the same in every run."""
    coverage = Coverage()
    index = StructureIndex()
    found = 0
    for candidate, decoration in chain(_listed(), _substituted(coverage)):
        if found == count:
            return
        if not _is_new(index, candidate.crystal):
            continue
        coverage.take(decoration)
        found += 1
        yield candidate


def write_candidates(path: Path, count: int, on_candidate: Callable[[], None] = lambda: None) -> None:
    """Write them in one step, unless there are as many there already."""
    if sum(1 for _ in read_records(path)) >= count:
        return
    lines: list[str] = []
    for candidate in candidates(count):
        lines.append(json.dumps(candidate.record()) + "\n")
        on_candidate()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, "".join(lines).encode())


def crystal_record(crystal: Crystal) -> dict[str, Any]:
    """The arrays of a crystal as lists: 1e-6 Å and 1e-7 of the cell are far below what a potential knows."""
    return {
        "cell": np.round(crystal.cell, 6).ravel().tolist(),
        "numbers": crystal.numbers.tolist(),
        "frac_coords": np.round(crystal.frac_coords, 7).ravel().tolist(),
    }


def crystal_of(record: Record) -> Crystal:
    """The crystal of a line."""
    return Crystal(
        cell=np.array(record["cell"]).reshape(3, 3),
        numbers=np.array(record["numbers"], dtype=np.int64),
        frac_coords=np.array(record["frac_coords"]).reshape(-1, 3),
        id=record["id"],
    )


def _listed() -> Iterator[tuple[Candidate, Decoration]]:
    origins: Iterable[tuple[str, Iterable[Decoration]]] = (
        ("element", elements()),
        ("known", _shuffled(list(well_known()))),
    )
    for origin, decorations in origins:
        for decoration in decorations:
            yield Candidate(decorated(decoration), decoration.prototype.text, origin, ""), decoration


def _substituted(coverage: Coverage) -> Iterator[tuple[Candidate, Decoration]]:
    for one in ranked(substitutions(parents(MAX_ATOMS)), coverage):
        prototype = one.decoration.prototype
        crystal = decorated(one.decoration)
        candidate = Candidate(crystal, prototype.text, "substitution", one.text, one.log_likelihood)
        yield candidate, one.decoration


def _shuffled(decorations: list[Decoration]) -> list[Decoration]:
    """So that a run that ends early has some of every type."""
    order = np.random.default_rng(0).permutation(len(decorations))
    return [decorations[position] for position in order]


def _is_new(index: StructureIndex, crystal: Crystal) -> bool:
    try:
        if shortest_distance(crystal) < _CLOSEST_ANGSTROM:
            return False
        return index[index.add(crystal)] is crystal
    except CrystalMeshError:
        return False
