from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import KFold

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.evaluation.splits import (
    check_energies,
    compositions,
    matbench_folds,
    matbench_split,
    mp20_split,
)
from crystalmesh_property.graphs.packed import PackedGraphs
from crystalmesh_property.graphs.packing import pack
from crystalmesh_property.properties import Property
from tests.property.crystals import salts_table


def packed(folder: Path, name: str, numbers: Sequence[int], **columns: Sequence[object]) -> PackedGraphs:
    return pack(salts_table(folder / f"{name}.parquet", numbers, **columns), folder / f"{name}.graphs")


def test_folds_are_those_of_scikit_learn() -> None:
    """The fold of every row is the one whose test part MatBench's KFold puts it in."""
    folds = matbench_folds(997)
    splitter = KFold(n_splits=5, shuffle=True, random_state=18012019)
    for fold, (train, test) in enumerate(splitter.split(np.arange(997))):
        assert np.flatnonzero(folds == fold).tolist() == test.tolist()
        assert np.flatnonzero(folds != fold).tolist() == train.tolist()


@pytest.mark.parametrize("fold", [0, 3])
def test_a_fold_is_judged_with_the_other_four(tmp_path: Path, fold: int) -> None:
    """The test part is the fold and all of it; learning and validation share the rest, none in both."""
    folds = matbench_folds(60)
    pool, split = matbench_split(
        [packed(tmp_path, "m", range(60), fold=folds.tolist())], fold=fold, validation_share=0.25, seed=4
    )
    assert split.test.tolist() == np.flatnonzero(folds == fold).tolist()
    assert sorted([*split.train, *split.validation]) == np.flatnonzero(folds != fold).tolist()
    assert len(split.validation) == 12
    assert len(pool) == 60
    again = matbench_split(pool.tables, fold=fold, validation_share=0.25, seed=4)[1]
    assert again.validation.tolist() == split.validation.tolist()


def test_a_matbench_score_takes_no_other_table(tmp_path: Path) -> None:
    """A second table, a table without folds and a fold that is not there raise InvalidFieldError."""
    with_folds = packed(tmp_path, "m", range(10), fold=[0, 1] * 5)
    without = packed(tmp_path, "n", range(10))
    with pytest.raises(InvalidFieldError, match="no other"):
        matbench_split([with_folds, without], fold=0)
    for table, fold in ((without, 0), (with_folds, 3)):
        with pytest.raises(InvalidFieldError, match="no fold"):
            matbench_split([table], fold=fold)


def test_what_overlaps_mp20_is_never_learnt_from(tmp_path: Path) -> None:
    """Flagged rows of another table, and rows with the id of a judged crystal, stay out."""
    official = [
        packed(tmp_path, name, numbers)
        for name, numbers in (("tr", range(8)), ("va", [8, 9]), ("te", [10, 11]))
    ]
    flags = [n in (20, 21) for n in range(9, 30)]
    moduli = {"bulk_modulus_gpa": [50.0] * 21, "formation_energy_ev_per_atom": [-1.0] * 21}
    extra = packed(tmp_path, "ex", range(9, 30), overlaps_mp20_eval=flags, **moduli)
    pool, split = mp20_split(*official, extra=[extra])
    learnt = {pool.ids[index] for index in split.train}
    assert not learnt & {f"salt-{n:04d}" for n in (8, 9, 10, 11, 20, 21)}
    assert {f"salt-{n:04d}" for n in range(8)} <= learnt
    of_extra = split.train[split.train >= pool.starts[3]]
    assert np.isfinite(pool.labels[of_extra, list(Property).index(Property.BULK_MODULUS)]).all()
    energies = pool.labels[of_extra, list(Property).index(Property.FORMATION_ENERGY)]
    assert np.isnan(energies).all(), "its energies follow another scheme"


def test_what_mp20_cannot_judge_is_judged_by_rows_of_another_table(tmp_path: Path) -> None:
    """Held-out rows share no composition with what is learnt from, and judge the shear modulus alone."""
    bulk = {"bulk_modulus_gpa": [40.0, 41.0]}
    official = [
        packed(tmp_path, "tr", [0, 1], **bulk),
        packed(tmp_path, "va", [2, 3], **bulk),
        packed(tmp_path, "te", [4, 5], **bulk),
    ]
    numbers = range(10, 150)
    extra = packed(
        tmp_path,
        "ex",
        numbers,
        overlaps_mp20_eval=[False] * 140,
        bulk_modulus_gpa=[50.0] * 140,
        shear_modulus_gpa=[30.0] * 140,
    )
    pool, split = mp20_split(*official, extra=[extra])
    held = [members[members >= pool.starts[3]] for members in (split.validation, split.test)]
    of = [composition for table in pool.tables for composition in compositions(table)]
    learnt = {of[index] for index in split.train}
    for members in held:
        assert len(members)
        assert not {of[index] for index in members} & learnt
        assert np.isnan(pool.labels[members, list(Property).index(Property.BULK_MODULUS)]).all()
        assert np.isnan(pool.labels[members, list(Property).index(Property.BAND_GAP)]).all()
        assert (pool.labels[members, list(Property).index(Property.SHEAR_MODULUS)] == 30).all()


def test_a_table_that_does_not_say_what_overlaps_is_refused(tmp_path: Path) -> None:
    """Without the column there is no telling, so the table adds nothing and raises."""
    official = [packed(tmp_path, str(n), [n]) for n in range(3)]
    with pytest.raises(InvalidFieldError, match="which rows overlap"):
        mp20_split(official[0], official[1], official[2], extra=[packed(tmp_path, "ex", range(9, 12))])


def test_a_crystal_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    """A training part with a judged id raises, as does a crystal in both judged parts."""
    one, two, three = (packed(tmp_path, str(n), [n, n + 1]) for n in (0, 1, 5))
    with pytest.raises(InvalidFieldError, match="learnt from"):
        mp20_split(one, three, two)
    with pytest.raises(InvalidFieldError, match="in common"):
        mp20_split(three, one, two)


def test_energies_of_two_schemes_are_not_mixed() -> None:
    """Tables of 2018 beside MP-20 may not give energies; moduli are nobody's scheme."""
    with pytest.raises(InvalidFieldError, match="two correction schemes"):
        check_energies([Property.ENERGY_ABOVE_HULL], ["train.parquet", "mp_properties.parquet"])
    check_energies([Property.BULK_MODULUS], ["train.parquet", "mp_properties.parquet"])
    check_energies([Property.FORMATION_ENERGY], ["mp_properties.parquet"])


def test_quick_judges_a_fixed_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick part is the same 2,000 rows every time, and a small part stays whole."""
    from crystalmesh_property.evaluation import splits

    monkeypatch.setattr(splits, "QUICK_ROWS", 5)
    _, split = matbench_split([packed(tmp_path, "m", range(40), fold=[0, 1] * 20)], fold=0)
    assert len(split.quick().test) == 5
    assert split.quick().test.tolist() == split.quick().quick().test.tolist()
    assert set(split.quick().test) <= set(split.test)
    assert len(split.fewer(7, seed=0).train) == 7
