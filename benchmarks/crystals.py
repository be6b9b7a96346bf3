"""Crystals to benchmark with, from the data sets at hand."""

from __future__ import annotations

import pandas as pd

from benchmarks.datasets import dataset
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.reference.relax_entries import crystal_of_row


def crystals_of(table: pd.DataFrame) -> list[Crystal]:
    """The crystals of a data set's rows."""
    return [crystal_of_row(row) for row in table.itertuples()]


def mp20_test(count: int, *, max_atoms: int, seed: int = 0) -> list[Crystal]:
    """A random sample of the MP-20 test split, the same for the same arguments."""
    table = pd.read_parquet(dataset("mp20/test.parquet"), columns=["id", "cell", "numbers", "frac_coords"])
    return crystals_of(table[table["numbers"].map(len) <= max_atoms].sample(count, random_state=seed))
