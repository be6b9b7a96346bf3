"""What any network has to beat: a random forest on Magpie's statistics of the elements in a formula."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalmesh_common.crystal.description.elements import COVALENT_RADII_ANGSTROM, ELECTRONEGATIVITIES
from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER, SYMBOLS
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.scoring import Predictions, Score, score
from crystalmesh_property.evaluation.splits import Split
from crystalmesh_property.graphs.graph import CrystalGraph
from crystalmesh_property.properties import SCALES, Property

FloatArray = NDArray[np.float64]

_PYMATGEN_NUMBERS = (
    "atomic_mass", "mendeleev_no", "row", "group", "melting_point", "boiling_point", "molar_volume",
    "atomic_radius", "average_ionic_radius", "thermal_conductivity", "electron_affinity",
)  # fmt: skip
_SHELLS = {"s": 2, "p": 6, "d": 10, "f": 14}


@lru_cache(maxsize=1)
def element_table() -> FloatArray:
    """Numbers of each element by atomic number, (119, k): size, bonding, periodic table, valence shells.

    In the spirit of Magpie (Ward et al., 2016), from pymatgen's tables; unknown numbers are 0.
    """
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- only baselines need it

    rows = [np.zeros(len(_PYMATGEN_NUMBERS) + 3 + 2 * len(_SHELLS))]
    for z in range(1, MAX_ATOMIC_NUMBER + 1):
        element = Element(SYMBOLS[z - 1])
        numbers = [_number(element, name) for name in _PYMATGEN_NUMBERS]
        filled = _valence(element)
        free = [_SHELLS[shell] - n if n else 0 for shell, n in zip(_SHELLS, filled, strict=True)]
        own = [z, ELECTRONEGATIVITIES[z], COVALENT_RADII_ANGSTROM[z]]
        rows.append(np.array([*own, *numbers, *filled, *free], dtype=np.float64))
    return np.nan_to_num(np.stack(rows))


def _number(element: Any, name: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every number that is not known
        try:
            value = getattr(element, name)
        except (AttributeError, KeyError, ValueError):
            return 0.0
    return 0.0 if value is None else float(value)


def _valence(element: Any) -> list[int]:
    """Electrons outside the noble-gas core by kind of shell: "[Ar].3d6.4s2" is 2 s and 6 d."""
    found = dict.fromkeys(_SHELLS, 0)
    try:
        structure: str = element.electronic_structure
    except KeyError:  # those beyond dubnium have none
        structure = ""
    for part in structure.split("."):
        if len(part) > 2 and part[0].isdigit() and part[1] in _SHELLS and part[2:].isdigit():
            found[part[1]] += int(part[2:])
    return list(found.values())


def composition_features(graph: CrystalGraph) -> FloatArray:
    """Mean, spread, extremes and range of each element number over the atoms, and norms of the fractions."""
    atoms = np.bincount(graph.elements, weights=graph.multiplicities, minlength=MAX_ATOMIC_NUMBER + 1)
    elements = np.flatnonzero(atoms)
    fractions = atoms[elements] / atoms.sum()
    table = element_table()[elements]  # (elements, k)
    mean = fractions @ table
    spread = fractions @ np.abs(table - mean)
    lowest, highest = table.min(axis=0), table.max(axis=0)
    most = table[int(np.argmax(fractions))]
    norms = [len(elements), *(float((fractions**p).sum() ** (1 / p)) for p in (2, 3, 5))]
    return np.concatenate([mean, spread, lowest, highest, highest - lowest, most, norms])


def random_forest(
    pool: GraphPool,
    split: Split,
    properties: Sequence[Property],
    *,
    seed: int = 0,
    threads: int = 1,
    trees: int = 200,
) -> list[Score]:
    """The scores of a random forest on composition alone, one per property, on the split's own scale.

    Its intervals are the 2.5th and 97.5th percentile of its trees. Takes minutes for MatBench on one core.
    """
    from sklearn.ensemble import RandomForestRegressor  # type: ignore[import-untyped]  # noqa: PLC0415

    features = {
        int(index): composition_features(pool.graph(int(index)))
        for index in np.concatenate([split.train, split.test])
    }
    asked = np.stack([features[int(index)] for index in split.test])
    columns = []
    for name in properties:
        labels = SCALES[name].inward(pool.labels[:, list(Property).index(name)].astype(np.float64))
        known = split.train[np.isfinite(labels[split.train])]
        forest = RandomForestRegressor(trees, max_features=0.33, n_jobs=threads, random_state=seed)
        forest.fit(np.stack([features[int(index)] for index in known]), labels[known])
        said = np.stack([tree.predict(asked) for tree in forest.estimators_])  # (trees, c)
        ends = (said.mean(axis=0), *np.percentile(said, [2.5, 97.5], axis=0))
        columns.append([SCALES[name].outward(SCALES[name].bounded(each)) for each in ends])
    value, lower, upper = (np.stack([column[n] for column in columns], axis=1) for n in range(3))
    ids = [pool.ids[index] for index in split.test]
    return score(Predictions(tuple(properties), ids, value, lower, upper), pool, split)
