"""What is asked for: nothing, or the formula and space group of crystals that no model has seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from benchmarks.crystals import crystals_of
from benchmarks.datasets import dataset
from benchmarks.generation_baselines import MAX_ATOMS
from benchmarks.quality.conditions import Conditions
from crystalmesh_client import Target
from crystalmesh_client.prompts import Prompt
from crystalmesh_common.crystal.symmetry import symmetry_of

NEAR_HULL_EV = 0.1


@dataclass(frozen=True)
class Condition:
    """A prompt and what its crystal has to be."""

    prompt: Prompt
    conditions: Conditions


def unconditional(count: int) -> list[Prompt]:
    """Prompts that ask for nothing."""
    return [Prompt(id=f"any-{number}") for number in range(count)]


def conditional(count: int, *, seed: int = 0) -> list[Condition]:
    """Formula, space group and a place near the hull, of random crystals of MP-20's test part."""
    columns = ["id", "cell", "numbers", "frac_coords", "formula"]
    table = pd.read_parquet(dataset("mp20/test.parquet"), columns=columns).drop_duplicates("formula")
    rows = table[table["numbers"].map(len) <= MAX_ATOMS].sample(count, random_state=seed)
    wanted = []
    for crystal, formula in zip(crystals_of(rows), rows["formula"], strict=True):
        group = symmetry_of(crystal, symprec=0.1).space_group_number
        target = Target(
            formula=formula,
            space_group=group,
            energy_above_hull_ev_per_atom=(None, NEAR_HULL_EV),
        )
        wanted.append(
            Condition(
                Prompt(target, id=crystal.id),
                Conditions(formula=formula, space_group=group, hull_ev_per_atom=(-math.inf, NEAR_HULL_EV)),
            )
        )
    return wanted
