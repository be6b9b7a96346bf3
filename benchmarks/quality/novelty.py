"""Uniqueness, novelty and diversity.

Two kinds of answers, which papers mix. By matching: structures are the same where pymatgen's StructureMatcher
at its defaults says so. By fingerprint, as the code of Gruver et al. (ICLR 2024, `basic_eval.py`) does: a
valid sample is novel if its nearest training crystal is farther than 0.1 by structure or 2 by composition,
and diversity is the mean distance over all pairs of valid samples, of structure and of standardised
composition. MatExpert is taken to do the same; its appendix was not at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist

from benchmarks.quality.coverage import nearest
from benchmarks.quality.fingerprints import Fingerprints
from benchmarks.quality.samples import share
from crystalmesh_common.crystal.composition import Composition, reduced_composition
from crystalmesh_common.crystal.matching import StructureIndex
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalError

STRUCTURE_CUTOFF = 0.1
COMPOSITION_CUTOFF = 2.0


class KnownCrystals:
    """Whether crystals are among many known ones, as StructureMatcher sees it.

    Costs nothing for the known crystals whose composition nobody asks about. Raises what `StructureIndex`
    raises for what cannot be compared; known crystals that cannot be are left out.
    """

    def __init__(self, crystals: Sequence[Crystal]) -> None:
        self._waiting: dict[Composition, list[Crystal]] = defaultdict(list)
        for crystal in crystals:
            self._waiting[reduced_composition(crystal)].append(crystal)
        self._index = StructureIndex()

    def __contains__(self, crystal: Crystal) -> bool:
        for known in self._waiting.pop(reduced_composition(crystal), ()):
            try:
                self._index.add(known)
            except CrystalError:
                continue
        return self._index.find(crystal) is not None


@dataclass(frozen=True)
class Novelty:
    """Shares of the valid samples, by matching; what cannot be compared is neither unique nor novel."""

    unique: float  # distinct structures by samples
    novel: float  # structure not in the training set
    novel_formula: float  # reduced formula not in the training set
    unique_and_novel: float  # distinct structures that are not in the training set, by samples


def novelty_of(
    valid: Sequence[Crystal], known: KnownCrystals, known_compositions: Collection[Composition]
) -> Novelty:
    """The shares against a training set; its compositions may be more than those of its crystals."""
    unseen = [crystal for crystal in valid if is_novel(crystal, known)]
    formulas = sum(reduced_composition(crystal) not in known_compositions for crystal in valid)
    return Novelty(
        unique=share(distinct(valid), len(valid)),
        novel=share(len(unseen), len(valid)),
        novel_formula=share(formulas, len(valid)),
        unique_and_novel=share(distinct(unseen), len(valid)),
    )


def is_novel(crystal: Crystal, known: KnownCrystals) -> bool:
    """Whether a crystal can be compared and is not known."""
    try:
        return crystal not in known
    except CrystalError:
        return False


def distinct(crystals: Sequence[Crystal]) -> int:
    """How many different structures there are; those that cannot be compared do not count."""
    index = StructureIndex()
    for crystal in crystals:
        try:
            index.add(crystal)
        except CrystalError:
            continue
    return len(index)


@dataclass(frozen=True)
class FingerprintNovelty:
    """Shares of the samples that have fingerprints, by the distance to the nearest training crystal."""

    structure: float
    composition: float
    either: float


def fingerprint_novelty(generated: Fingerprints, train: Fingerprints) -> FingerprintNovelty:
    """Novelty as Gruver et al. define it; the training set's fingerprints take an hour once."""
    structure = nearest(generated.structure, train.structure)[0] > STRUCTURE_CUTOFF
    composition = nearest(generated.composition, train.composition)[0] > COMPOSITION_CUTOFF
    counts = (int(part.sum()) for part in (structure, composition, structure | composition))
    return FingerprintNovelty(*(share(count, len(generated)) for count in counts))


@dataclass(frozen=True)
class Diversity:
    """Mean Euclidean distance over all pairs of fingerprints; NaN for fewer than two."""

    structure: float
    composition: float


def diversity_of(generated: Fingerprints) -> Diversity:
    """The mean distances of valid samples, as CDVAE's code and those after it compute them."""
    if len(generated) < 2:
        return Diversity(float("nan"), float("nan"))
    parts = (generated.structure, generated.composition)
    return Diversity(*(float(np.mean(pdist(part))) for part in parts))
