from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.quality import report
from benchmarks.quality.mp20 import ReferenceSets, mp20
from benchmarks.quality.report import Workplace, details, quality_of, table
from benchmarks.quality.samples import Sample
from tests.conftest import silicon
from tests.property.crystals import rock_salt, salts_table

TRAIN, TEST = range(6), range(6, 12)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> ReferenceSets:
    """An MP-20 of rock salts."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mp20").mkdir()
    salts_table(folder / "mp20" / "train.parquet", list(TRAIN))
    salts_table(folder / "mp20" / "test.parquet", list(TEST))
    formulas = ["Li1F1", "Na1F1", "K1F1", "Rb1F1", "Mg1F1", "Ca1F1", "Si1", "NaCl"]
    rows = {
        "id": [f"mp-{n}" for n in range(len(formulas))],
        "formula": formulas,
        "n_sites": [2] * len(formulas),
        "formation_energy_ev_per_atom": [-3.0, -2.9, -2.9, -2.8, -1.0, -1.0, 0.0, -2.1],
        "split": ["train"] * 7 + ["test"],
    }
    pd.DataFrame(rows).to_parquet(folder / "mp20_hull.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTALMESH_DATA", str(folder))
        return mp20()


def test_reference_sets_are_read_from_the_data(sets: ReferenceSets) -> None:
    """Test crystals, training crystals and compositions, and the DFT hull before the shipped one."""
    assert len(sets.test) == len(TEST)
    assert rock_salt(0) in sets.known
    assert rock_salt(7) not in sets.known
    assert ((14, 1),) in sets.known_compositions
    assert ((11, 1), (17, 1)) not in sets.known_compositions
    assert [hull.name for hull in sets.hulls] == ["mp20-dft", "mp20-chgnet-0.3.0"]


def test_test_crystals_as_samples_are_as_good_as_can_be(tmp_path: Path, sets: ReferenceSets) -> None:
    """The test set covers itself, and what is no crystal lowers the shares of all."""
    samples = [*(Sample(crystal) for crystal in sets.test), Sample(None, "cut short")]
    found = quality_of(samples, sets, Workplace(kept=tmp_path, relaxed_samples=0))
    assert found.asked == 7
    assert found.energetics is None
    figures = found.figures()
    assert tuple(figures) == report.FIGURES
    assert figures["struct_validity"] == pytest.approx(6 / 7)
    assert (figures["cov_recall"], figures["cov_precision"]) == (1, 1)
    assert figures["wdist_nel"] == 0
    assert found.coverage.precision_of_all == pytest.approx(found.validity.valid)
    assert "no energetics" not in details(found)


def test_stability_is_of_the_first_samples(tmp_path: Path, sets: ReferenceSets) -> None:
    """Relaxed are as many as asked for, and S.U.N. is a share of those; silicon is known by formula only."""
    samples = [Sample(None, "cut short"), Sample(silicon()), Sample(rock_salt(0)), Sample(rock_salt(1))]
    found = quality_of(samples, sets, Workplace(kept=tmp_path, relaxed_samples=2))
    assert found.energetics is not None
    assert [each is None for each in found.energetics.relaxed] == [True, False]
    assert {rate.asked for rate in found.energetics.stability} == {2}
    sun = {(rate.reference, rate.threshold_ev_per_atom): rate.rate for rate in found.energetics.sun}
    assert sun["mp20-chgnet-0.3.0", 0.1] == 0.5
    assert found.novelty.novel == pytest.approx(1 / 3)
    said = details(found)
    assert "mp20-chgnet-0.3.0: S.U.N. at 0.1 eV/atom 50.0% (1)" in said
    assert "CPU seconds" in said


def test_a_table_has_a_row_for_each_set_and_each_publication(tmp_path: Path, sets: ReferenceSets) -> None:
    """Columns line up, MatExpert stands below, and a figure that is not there is a dash."""
    found = quality_of([Sample(silicon())], sets, Workplace(kept=tmp_path, relaxed_samples=0))
    lines = table({"ours": found, "before": {"sun": 0.25}}).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "ours",
        "before",
        "MatExpert (published)",
        "CDVAE (published)",
    ]
    assert lines[2].split()[-2:] == ["0.250", "-"]
    assert "0.998" in lines[3]


def test_no_samples_are_no_error(tmp_path: Path, sets: ReferenceSets) -> None:
    """All shares of nothing are no numbers."""
    found = quality_of([], replace(sets, test=[]), Workplace(kept=tmp_path))
    assert "-" in table({"nothing": found}).splitlines()[1]
