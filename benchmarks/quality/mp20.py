"""MP-20 as what samples are measured against: its test and train splits and its hull."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.crystals import crystals_of
from benchmarks.datasets import dataset
from benchmarks.quality.magpie import Standardisation, composition_of_formula
from benchmarks.quality.novelty import KnownCrystals
from benchmarks.quality.stability import hulls
from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.stability.reference import Reference

_COLUMNS = ["id", "cell", "numbers", "frac_coords"]


@dataclass(frozen=True, eq=False)
class ReferenceSets:
    """What samples are measured against."""

    test: Sequence[Crystal]  # whose distributions and coverage count
    known: KnownCrystals  # the training set
    known_compositions: frozenset[Composition]  # reduced, of the training set
    standardisation: Standardisation  # of compositions, learnt from the training set
    hulls: Sequence[Reference]  # the first is the one that S.U.N. and conditions name by default


def mp20(*, test_count: int | None = None) -> ReferenceSets:
    """MP-20: all of its test split, or a fixed random sample of it.

    The train split at hand lacks the coordinates of a tenth of its rows, so a few structures pass for novel
    that are not; its compositions are complete. Raises FileNotFoundError where a data set is missing.
    """
    test = pd.read_parquet(dataset("mp20/test.parquet"), columns=_COLUMNS)
    if test_count is not None:
        test = test.sample(min(test_count, len(test)), random_state=0)
    train = pd.read_parquet(dataset("mp20/train.parquet"), columns=_COLUMNS)
    table = dataset("mp20_hull.parquet")
    rows = pd.read_parquet(table, columns=["formula", "split"])
    compositions = [composition_of_formula(formula) for formula in rows["formula"][rows["split"] == "train"]]
    return ReferenceSets(
        test=crystals_of(test),
        known=KnownCrystals(crystals_of(train)),
        known_compositions=frozenset(compositions),
        standardisation=Standardisation.of(compositions),
        hulls=hulls(table),
    )
