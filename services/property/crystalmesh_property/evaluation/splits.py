"""What may be learnt from and what is judged, with the leak rules of the data enforced.

1. MatBench: a fold is judged with what was learnt from the other four, and from no other table.
2. MP-20: its train part is learnt from, its validation part decides when to stop, its test part is judged.
   Other tables may add moduli, and gaps, from rows that are marked as not overlapping the judged parts.
3. Formation energies of MP-20 and of older tables follow two correction schemes and are never mixed.
4. A crystal that is judged, or decides when to stop, is never learnt from: ids are compared every time.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np
from numpy.typing import NDArray

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.graphs.packed import PackedGraphs
from crystalmesh_property.properties import Property

MATBENCH_FOLDS = 5
MATBENCH_SEED = 18012019
QUICK_ROWS = 2000
_QUICK_SEED = 0
_HELD_ONE_IN = 10

_ENERGIES = frozenset({Property.FORMATION_ENERGY, Property.ENERGY_ABOVE_HULL})
_ADDED = frozenset({Property.BULK_MODULUS, Property.SHEAR_MODULUS, Property.BAND_GAP})


@dataclass(frozen=True, eq=False)
class Split:
    """Members of a pool, each array ascending and none with a member of another."""

    name: str
    train: NDArray[np.int64]
    validation: NDArray[np.int64]  # when to stop, and how wide intervals are
    test: NDArray[np.int64]

    def quick(self) -> Split:
        """The same with a fixed random choice of 2,000 test rows."""
        if len(self.test) <= QUICK_ROWS:
            return self
        chosen = np.random.default_rng(_QUICK_SEED).permutation(self.test)[:QUICK_ROWS]
        return replace(self, test=np.sort(chosen))

    def fewer(self, rows: int, *, seed: int) -> Split:
        """The same with at most so many rows to learn from."""
        chosen = np.random.default_rng(seed).permutation(self.train)[:rows]
        return replace(self, train=np.sort(chosen))


def matbench_folds(rows: int) -> NDArray[np.int8]:
    """The fold in whose test part each row of a MatBench task is: KFold(5, shuffle, 18012019)."""
    # Only for checking a table's folds.
    from sklearn.model_selection import KFold  # type: ignore[import-untyped]  # noqa: PLC0415

    folds = np.zeros(rows, dtype=np.int8)
    splitter = KFold(MATBENCH_FOLDS, shuffle=True, random_state=MATBENCH_SEED)
    for fold, (_, test) in enumerate(splitter.split(folds)):
        folds[test] = fold
    return folds


def matbench_split(
    tables: Sequence[PackedGraphs], *, fold: int, validation_share: float = 0.04, seed: int = 0
) -> tuple[GraphPool, Split]:
    """The official fold of a MatBench task; part of the other four is set aside for validation.

    Raises InvalidFieldError for tables without folds, or for more than one table.
    """
    if len(tables) != 1:
        raise InvalidFieldError(
            "a MatBench score comes from the other folds of its own table and no other", field="data.extra"
        )
    folds = tables[0].folds
    if (folds < 0).any() or not 0 <= fold < MATBENCH_FOLDS or not (folds == fold).any():
        raise InvalidFieldError(f"{tables[0].path} has no fold {fold} for every row", field="data.fold")
    pool = GraphPool(tables)
    others = np.random.default_rng([seed, fold]).permutation(np.flatnonzero(folds != fold))
    held = max(1, round(validation_share * len(others)))
    split = Split(
        f"matbench fold {fold}", np.sort(others[held:]), np.sort(others[:held]), np.flatnonzero(folds == fold)
    )
    _no_leak(pool, split)
    return pool, split


def mp20_split(
    train: PackedGraphs,
    validation: PackedGraphs,
    test: PackedGraphs,
    extra: Sequence[PackedGraphs] = (),
) -> tuple[GraphPool, Split]:
    """MP-20's official parts, with what other tables may add to the one that is learnt from.

    Of their compositions that MP-20 has not at all, a tenth goes to the validation and a tenth to the test
    part, for the properties that MP-20 cannot judge (the shear modulus) and for no other.

    Raises InvalidFieldError for another table that does not say which rows overlap, and for crystals that
    are both learnt from and judged.
    """
    official = (train, validation, test)
    every = frozenset(Property)
    pool = GraphPool([*official, *extra], [every] * 3 + [_ADDED] * len(extra))
    judged = set(validation.ids) | set(test.ids)
    taken = {each for table in official for each in compositions(table)}
    parts = [[pool.members(number)] for number in range(3)]
    for number, table in enumerate(extra, start=3):
        if (table.overlaps < 0).any():
            raise InvalidFieldError(
                f"{table.path} does not say which rows overlap MP-20's judged parts",
                field="data.extra",
            )
        apart = np.array([each not in judged for each in table.ids]) & (table.overlaps == 0)
        places = np.array([0 if each in taken else _part(each) for each in compositions(table)])
        for place, mine in enumerate(parts):
            mine.append(pool.members(number)[apart & (places == place)])
    split = Split("mp20", *(np.concatenate(mine) for mine in parts))
    for name in Property:  # what MP-20 itself can judge, it judges alone
        if np.isfinite(validation.label(name)).any():
            added = np.concatenate(
                [each for mine in parts[1:] for each in mine[1:]] or [np.zeros(0, np.int64)]
            )
            pool.labels[added, list(Property).index(name)] = np.nan
    _no_leak(pool, split)
    return pool, split


def compositions(table: PackedGraphs) -> list[str]:
    """The reduced composition of every crystal, as "8:3 22:1" for TiO3."""
    found = []
    for index in range(len(table)):
        amounts = table.graph(index).amounts()
        divisor = gcd(*amounts.values())
        found.append(" ".join(f"{number}:{count // divisor}" for number, count in amounts.items()))
    return found


def _part(composition: str) -> int:
    """0 to learn from, 1 for validation, 2 for test; polymorphs stay together."""
    place = zlib.crc32(composition.encode()) % _HELD_ONE_IN
    return place if place in (1, 2) else 0


def _no_leak(pool: GraphPool, split: Split) -> None:
    learnt = {pool.ids[index] for index in split.train}
    for name, members in (("validation", split.validation), ("test", split.test)):
        both = [pool.ids[index] for index in members if pool.ids[index] in learnt]
        if both:
            raise InvalidFieldError(
                f"{len(both)} crystals of the {name} part are learnt from, the first is {both[0]}",
                field="data",
            )
    judged = {pool.ids[index] for index in split.validation}
    if any(pool.ids[index] in judged for index in split.test):
        raise InvalidFieldError("validation and test part have crystals in common", field="data")


def check_energies(properties: Sequence[Property], names: Sequence[str]) -> None:
    """Refuse energies out of tables of two correction schemes, by what the tables are called."""
    old = [name for name in names if name.startswith(("mp_properties", "mp_hull"))]
    if old and len(old) < len(names) and _ENERGIES & set(properties):
        raise InvalidFieldError(
            f"{', '.join(old)} and the other tables have energies of two correction schemes",
            field="properties",
        )
