"""Pairs for every crystal of a table, drawn and aligned."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from crystalmesh_common.runtime.durable import make_folder, write_file
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.pairs.alignment import AlignableCrystal, Alignment, align_prepared
from crystalmesh_generation.pairs.drawing import References
from crystalmesh_generation.pairs.pair_table import (
    FORMAT,
    Pair,
    PairOrigin,
    PairTable,
    origin_of_pairs,
    read_pairs,
    write_pairs,
)
from crystalmesh_generation.pairs.standard_table import (
    Progress,
    StandardCrystal,
    StandardTable,
    quietly,
    standardized,
)

PAIRS_FILE = "pairs.parquet"
CRYSTALS_FILE = "crystals.parquet"
TARGETS_FILE = "targets.parquet"

_PART_TARGETS = 1024
_MISSES = 16
"""Draws that do not align before a target goes without more references."""


@dataclass(frozen=True)
class PairRequest:
    """What to pair."""

    targets: Path
    references: Path  # the same table: a crystal is then never its own reference
    seed: int = 0
    per_target: int = 4  # aligned references of a target, at most
    sample: int | None = None  # this many random targets instead of all


def make_pairs(request: PairRequest, folder: Path, progress: Progress = quietly) -> PairTable:
    """Pairs of crystals, in `pairs.parquet`, with the tables in standard settings beside them.

    `crystals.parquet` holds the references, and the targets too unless they come from another table: then
    they are in `targets.parquet`. Every target gets up to `per_target` references of its structure, in
    whose setting it is written, and one more of another structure, beside which it keeps its own standard
    setting. What is there already and was made from the same is kept; a broken run goes on where it
    stopped. The same request gives the same pairs. Takes about 4 ms a target and 1.5 ms a row.
    """
    if request.per_target < 1:
        raise InvalidFieldError("per_target is below 1", field="per_target")
    make_folder(folder)
    references = standardized(request.references, folder / CRYSTALS_FILE, progress)
    same = request.targets.resolve() == request.references.resolve()
    targets = references if same else standardized(request.targets, folder / TARGETS_FILE, progress)
    path = folder / PAIRS_FILE
    origin = PairOrigin(
        targets_sha256=targets.sha256,
        references_sha256=references.sha256,
        seed=request.seed,
        per_target=request.per_target,
        sample=request.sample,
        left_out=targets.left_out,
        unaligned=(),
    )
    if path.exists() and (found := origin_of_pairs(path)) is not None and found.same_request(origin):
        return read_pairs(path)
    made = _in_parts(_chosen(targets, request), references, origin, path, progress)
    aligned = {pair.target for pair in made if pair.aligned}
    alone = tuple(each.row for each in _chosen(targets, request) if each.row not in aligned)
    write_pairs(path, PairTable(made, PairOrigin(**{**vars(origin), "unaligned": alone})))
    shutil.rmtree(_parts_folder(path, origin))
    return read_pairs(path)


def _chosen(targets: StandardTable, request: PairRequest) -> Sequence[StandardCrystal]:
    if request.sample is None or request.sample >= len(targets.crystals):
        return targets.crystals
    random = np.random.default_rng([request.seed, request.sample])
    chosen = np.sort(random.choice(len(targets.crystals), request.sample, replace=False))
    return [targets.crystals[position] for position in chosen]


def _in_parts(
    targets: Sequence[StandardCrystal],
    references: StandardTable,
    origin: PairOrigin,
    path: Path,
    progress: Progress,
) -> Sequence[Pair]:
    folder = _parts_folder(path, origin)
    scribe = Scribe(references.crystals, origin)
    pairs: list[Pair] = []
    for start in range(0, len(targets), _PART_TARGETS):
        part = folder / f"{start // _PART_TARGETS:05d}.parquet"
        if origin_of_pairs(part) != origin:
            some = targets[start : start + _PART_TARGETS]
            said = _counted(progress, start, len(targets))
            written = [scribe.pairs(target) for target in said(some)]
            write_pairs(part, PairTable(list(chain.from_iterable(written)), origin))
        # As it was written, so that a run in pieces gives what a run in one gives.
        pairs.extend(read_pairs(part).pairs)
    return pairs


def _counted(
    progress: Progress, start: int, total: int
) -> Callable[[Sequence[StandardCrystal]], Iterator[StandardCrystal]]:
    def said(targets: Sequence[StandardCrystal]) -> Iterator[StandardCrystal]:
        for done, target in enumerate(targets, start=start):
            progress("pairs", done, total)
            yield target

    return said


class Scribe:
    """Finds references for targets and writes the targets in their settings."""

    def __init__(self, references: Sequence[StandardCrystal], origin: PairOrigin) -> None:
        self._references = References(references)
        self._origin = origin
        self._prepared: dict[int, AlignableCrystal] = {}

    def pairs(self, target: StandardCrystal) -> list[Pair]:
        """All pairs of one target; they depend on the seed and its row only."""
        random = np.random.default_rng([self._origin.seed, target.row])
        prepared = AlignableCrystal(target.crystal)
        found = self._aligned(target, prepared, random, same_formula=False)
        if not found:
            found = self._aligned(target, prepared, random, same_formula=True)
        stranger = self._stranger(target, prepared, random)
        return found if stranger is None else [*found, stranger]

    def _aligned(
        self,
        target: StandardCrystal,
        prepared: AlignableCrystal,
        random: np.random.Generator,
        *,
        same_formula: bool,
    ) -> list[Pair]:
        found: list[Pair] = []
        misses = 0
        for position in self._references.alike(target, random, same_formula=same_formula):
            if self._is_itself(target, position):
                continue
            alignment = self._align(prepared, position)
            if alignment is None:
                misses += 1
            else:
                row = self._references.crystals[position].row
                found.append(Pair(target.row, row, alignment.displacement, alignment.crystal))
            if misses == _MISSES or len(found) == self._origin.per_target:
                break
        return found

    def _stranger(
        self, target: StandardCrystal, prepared: AlignableCrystal, random: np.random.Generator
    ) -> Pair | None:
        """A reference of another structure."""
        candidates = (
            self._references.related(target, random, same_formula=same_formula)
            for same_formula in (False, True)
        )
        for position in chain.from_iterable(candidates):
            if not self._is_itself(target, position) and self._align(prepared, position) is None:
                return Pair(target.row, self._references.crystals[position].row, None, target.crystal)
        return None

    def _is_itself(self, target: StandardCrystal, position: int) -> bool:
        same_table = self._origin.targets_sha256 == self._origin.references_sha256
        return same_table and self._references.crystals[position].row == target.row

    def _align(self, prepared: AlignableCrystal, position: int) -> Alignment | None:
        reference = self._references.crystals[position].crystal
        if len(reference) != len(prepared):
            return None
        if position not in self._prepared:
            self._prepared[position] = AlignableCrystal(reference)
        return align_prepared(prepared, self._prepared[position])


def _parts_folder(path: Path, origin: PairOrigin) -> Path:
    """The folder of unfinished work for exactly this; that for anything else under this name is removed."""
    said = json.dumps([FORMAT, _PART_TARGETS, vars(origin)], sort_keys=True)
    key = hashlib.sha256(said.encode()).hexdigest()
    folder = path.with_name(f"{path.name}.parts")
    plan = folder / "plan"
    if not (plan.exists() and plan.read_text() == key):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_file(plan, key.encode())
    return folder
