"""Crystals without any language model, which a language model has to beat: substitution into MP-20 train.

Three ways: one random element becomes one of the six chemically nearest; ours, by mined probabilities; and,
for known formulas of MP-20 test, the likeliest decoration of a prototype with the same anonymous formula.
All scale the cell by the volumes that atoms take, and relax nothing.

    python benchmarks/generation_baselines.py --count 40 --into build/generation/baselines
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd

if __name__ == "__main__":  # run as a script, not as a module of the repository
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.crystals import crystals_of
from benchmarks.datasets import dataset
from benchmarks.quality.magpie import composition_of_formula
from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.crystal.cif import write_cif
from crystalmesh_common.crystal.composition import (
    Composition,
    composition_of,
    reduced_composition,
    reduced_formula,
)
from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import NoSubstitutionError
from crystalmesh_generation.substitution.choosing import Choices, stoichiometry
from crystalmesh_generation.substitution.elements import ElementTable, plausibility
from crystalmesh_generation.substitution.substituting import Substituted, propose, substitute
from crystalmesh_generation.substitution.table import shipped_substitutions

NEAREST = 6
MAX_ATOMS = 20
NOBLE_GASES = frozenset({2, 10, 18, 36, 54, 86})
COLUMNS = ["id", "cell", "numbers", "frac_coords"]


@dataclass(frozen=True, eq=False)
class SubstitutedSample:
    """A crystal that a baseline made, and from which of MP-20 train."""

    crystal: Crystal
    reference_id: str
    substituted: Substituted


@dataclass(frozen=True, eq=False)
class Baseline:
    """What one way made, and the CPU seconds that took, loading of tables apart."""

    name: str
    samples: Sequence[SubstitutedSample]
    cpu_seconds: float

    @property
    def crystals(self) -> list[Crystal]:
        return [sample.crystal for sample in self.samples]


@dataclass(frozen=True, eq=False)
class Sources:
    """What the baselines start from."""

    train: Sequence[Crystal]
    known: Collection[Composition]  # reduced; of all of MP-20 but withheld rows
    table: ElementTable


def sources() -> Sources:
    """MP-20 train, all formulas of MP-20 and the shipped table."""
    train = crystals_of(pd.read_parquet(dataset("mp20/train.parquet"), columns=COLUMNS))
    formulas = pd.read_parquet(dataset("mp20_hull.parquet"), columns=["formula"])["formula"].unique()
    known = {composition_of_formula(formula) for formula in formulas}
    table = shipped_substitutions()
    return Sources(train, known | {reduced_composition(crystal) for crystal in train}, table)


def test_crystals(count: int, *, seed: int) -> list[Crystal]:
    """A random sample of MP-20 test, no two of one formula."""
    table = pd.read_parquet(dataset("mp20/test.parquet"), columns=[*COLUMNS, "formula"])
    rows = table.drop_duplicates("formula")
    return crystals_of(rows[rows["numbers"].map(len) <= MAX_ATOMS].sample(count, random_state=seed))


def one_element(given: Sources, count: int, *, seed: int) -> Baseline:
    """One random element of a random crystal becomes one of the six nearest that it does not hold."""
    generator = np.random.default_rng(seed)
    elements = frozenset(np.unique(np.concatenate([crystal.numbers for crystal in given.train])).tolist())
    elements -= NOBLE_GASES

    def attempt() -> SubstitutedSample | None:
        reference = given.train[int(generator.integers(len(given.train)))]
        before = int(generator.choice(np.unique(reference.numbers)))
        if before in NOBLE_GASES:
            return None
        near = [number for number in nearest_elements(before, elements) if number not in reference.numbers]
        if not near:
            return None
        pairs = ((before, int(generator.choice(near))),)
        probability = given.table.probability(*pairs[0])
        crystal = substitute(reference, pairs, given.table)
        return SubstitutedSample(crystal, reference.id, Substituted(crystal, pairs, probability, seed))

    return _new_compositions("one-element", attempt, given.known, count)


def data_mined(given: Sources, count: int, *, seed: int) -> Baseline:
    """What `GENERATOR_IONIC_SUBSTITUTION` makes of random crystals when nothing is demanded."""
    generator = np.random.default_rng(seed)
    limits = CompositionLimits(max_atoms=MAX_ATOMS)

    def attempt() -> SubstitutedSample | None:
        reference = given.train[int(generator.integers(len(given.train)))]
        own_seed = int(generator.integers(2**63))
        try:
            [made] = propose(reference, limits, given.table, seed=own_seed, count=1)
        except NoSubstitutionError:
            return None
        return SubstitutedSample(made.crystal, reference.id, made)

    return _new_compositions("data-mined", attempt, given.known, count)


def known_formulas(given: Sources, targets: Sequence[Crystal]) -> Baseline:
    """For the formula of each target the likeliest decoration of a prototype in train.

    Crystals of the very formula do not count as prototypes: to find them is no generation. Targets whose
    stoichiometry no crystal of train has are left out. A sample's crystal has its target's id.
    """
    by_stoichiometry: dict[tuple[int, ...], list[Crystal]] = defaultdict(list)
    for crystal in given.train:
        by_stoichiometry[stoichiometry(composition_of(crystal))].append(crystal)
    started = time.process_time()
    samples = []
    for target in targets:
        limits = _limits_of(target)
        reference = likeliest_prototype(
            by_stoichiometry[stoichiometry(composition_of(target))], limits, given.table
        )
        if reference is not None:
            [made] = propose(reference, limits, given.table, seed=0, count=1)
            samples.append(SubstitutedSample(replace(made.crystal, id=target.id), reference.id, made))
    return Baseline("known-formula", samples, time.process_time() - started)


def likeliest_prototype(
    candidates: Sequence[Crystal], limits: CompositionLimits, table: ElementTable
) -> Crystal | None:
    """The crystal of another formula from which the demanded one is the likeliest; the first of equals."""
    best, best_plausibility = None, 0.0
    # Of equals the first counts, so what has a composition of before need not be looked at.
    tried = {limits.formula}
    for candidate in candidates:
        if (reduced := reduced_composition(candidate)) in tried:
            continue
        tried.add(reduced)
        pairs = next(Choices(composition_of(candidate), limits, table).likeliest())
        product = float(np.prod([plausibility(table, before, after) for before, after in pairs]))
        if product > best_plausibility:
            best, best_plausibility = candidate, product
    return best


@lru_cache(maxsize=128)
def nearest_elements(number: int, elements: frozenset[int]) -> Sequence[int]:
    """The six of some elements nearest in Mendeleev number and electronegativity, over their spreads."""
    others = sorted(elements - {number})
    places = np.array([_place(each) for each in [number, *others]])
    distances = np.linalg.norm((places[1:] - places[0]) / places.std(axis=0), axis=1)
    return [others[position] for position in np.argsort(distances)[:NEAREST]]


def _place(number: int) -> tuple[float, float]:
    """Mendeleev number and electronegativity."""
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    element = Element.from_Z(number)
    return float(element.mendeleev_no), float(element.X)


def _new_compositions(
    name: str, attempt: Callable[[], SubstitutedSample | None], known: Collection[Composition], count: int
) -> Baseline:
    """Attempts until there are enough whose compositions are neither known nor among them already."""
    started = time.process_time()
    samples: dict[Composition, SubstitutedSample] = {}
    while len(samples) < count:
        sample = attempt()
        if sample is not None and (new := reduced_composition(sample.crystal)) not in known:
            named = replace(sample.crystal, id=f"{name}-{len(samples)}")
            samples.setdefault(new, replace(sample, crystal=named))
    return Baseline(name, list(samples.values()), time.process_time() - started)


def _limits_of(target: Crystal) -> CompositionLimits:
    formula = reduced_composition(target)
    elements = frozenset(number for number, _ in formula)
    return CompositionLimits(formula, elements, elements, max_atoms=MAX_ATOMS)


def write(baseline: Baseline, into: Path) -> None:
    """A folder of CIFs, one extended XYZ file of all, and where each came from as JSON."""
    folder = into / baseline.name
    folder.mkdir(parents=True, exist_ok=True)
    for sample in baseline.samples:
        (folder / f"{sample.crystal.id}.cif").write_text(write_cif(sample.crystal))
    ase.io.write(into / f"{baseline.name}.extxyz", [to_atoms(each) for each in baseline.crystals])
    facts = {
        "name": baseline.name,
        "cpu_seconds": baseline.cpu_seconds,
        "samples": [
            {
                "id": sample.crystal.id,
                "formula": reduced_formula(sample.crystal),
                "reference_id": sample.reference_id,
                "substitutions": sample.substituted.substitutions,
                "probability": sample.substituted.probability,
                "seed": sample.substituted.seed,
            }
            for sample in baseline.samples
        ],
    }
    (into / f"{baseline.name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="crystals of each baseline")
    parser.add_argument("--into", type=Path, default=Path("build/generation/baselines"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    given, count, seed = sources(), arguments.count, arguments.seed
    for baseline in (
        one_element(given, count, seed=seed),
        data_mined(given, count, seed=seed),
        known_formulas(given, test_crystals(count, seed=seed)),
    ):
        write(baseline, arguments.into)
        print(f"{baseline.name}: {len(baseline.samples)} crystals, {baseline.cpu_seconds:.2f} CPU seconds")


if __name__ == "__main__":
    main()
