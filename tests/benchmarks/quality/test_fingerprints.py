from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import fingerprints as subject
from benchmarks.quality.fingerprints import fingerprints_of, structure_fingerprints
from benchmarks.quality.ledger import Ledger
from benchmarks.quality.magpie import (
    Standardisation,
    composition_fingerprint,
    composition_fingerprints,
    composition_of_formula,
)
from benchmarks.quality.order_parameters import structure_fingerprint
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalError
from tests.conftest import iron, silicon, sodium_chloride
from tests.property.crystals import random_crystal, rock_salt

SALTS = [composition_of_formula(formula) for formula in ("NaCl", "KBr", "MgO", "CaS", "Fe2O3")]


@pytest.mark.parametrize(
    ("crystal", "expected"),
    [
        (sodium_chloride(), {22: 1.0, 23: 0.200068, 24: 1.0, 25: 0.5}),
        (silicon(), {12: 1.0, 13: 0.079968, 14: 1.0, 15: 0.007025, 16: 0.234254, 17: 0.24521}),
        (
            silicon(shift=0.05),
            {
                0: 0.035187,
                1: 0.035187,
                8: 0.058375,
                9: 0.035166,
                10: 0.052536,
                11: 0.008973,
                12: 0.906438,
                13: 0.151036,
                14: 0.817125,
                15: 0.048304,
                16: 0.356876,
                17: 0.36703,
            },
        ),
        (iron(), {29: 0.579184, 30: 0.579184, 31: 0.250968, 50: 0.420816}),
    ],
    ids=["NaCl", "Si", "shifted Si", "Fe"],
)
def test_order_parameters_are_those_of_matminer(crystal: Crystal, expected: dict[int, float]) -> None:
    """The numbers that matminer 0.10.1 gave for these, zero wherever it had zero."""
    found = structure_fingerprint(crystal)
    wanted = np.zeros(61)
    wanted[list(expected)] = list(expected.values())
    assert found == pytest.approx(wanted, abs=2e-6)


@pytest.mark.parametrize(
    ("formula", "electronegativity", "gap", "total"),
    [
        ("NaCl", [0.93, 3.16, 2.23, 2.045, 1.115, 0.93], [0, 2.493, 2.493, 1.2465, 1.2465, 0], 3358.6753),
        ("Fe2O3", [1.83, 3.44, 1.61, 2.796, 0.7728, 3.44], [0.0] * 6, 7261.5164),
        (
            "XeF2",
            [2.6, 3.98, 1.38, 3.52, 0.613333, 3.98],
            [1.97, 6.456, 4.486, 3.465333, 1.993778, 1.97],
            2971.0078,
        ),
    ],
)
def test_statistics_of_elements_are_those_of_matminer(
    formula: str, electronegativity: list[float], gap: list[float], total: float
) -> None:
    """The numbers that matminer 0.10.1 gave: two properties in full, and the sum of all 132."""
    found = composition_fingerprint(composition_of_formula(formula))
    assert found.shape == (132,)
    assert found[42:48] == pytest.approx(electronegativity, abs=1e-6)
    assert found[114:120] == pytest.approx(gap, abs=1e-6)
    assert found.sum() == pytest.approx(total, abs=1e-3)


def test_what_is_not_known_of_an_element_counts_as_the_mean() -> None:
    """Helium has no electronegativity; standardised, that is 0, and all else is finite."""
    row = composition_fingerprint(composition_of_formula("He"))
    assert np.isnan(row[42:48]).all()
    scaled = Standardisation.of(SALTS).of_rows(row[None])[0]
    assert (scaled[42:48] == 0).all()
    assert np.isfinite(scaled).all()


def test_a_standardised_training_set_has_mean_0_and_deviation_1() -> None:
    """Except where all its members agree, which stays 0."""
    rows = Standardisation.of(SALTS).of_rows(np.array([composition_fingerprint(c) for c in SALTS]))
    assert rows.mean(axis=0) == pytest.approx(np.zeros(132), abs=1e-9)
    deviations = rows.std(axis=0)
    assert np.all((np.abs(deviations - 1) < 1e-9) | (deviations < 1e-9))


def test_a_supercell_has_the_fingerprints_of_its_cell() -> None:
    """Both fingerprints are intensive."""
    cell = random_crystal(3)
    double = Crystal(
        cell.cell * np.array([[2.0], [1], [1]]),
        np.concatenate([cell.numbers, cell.numbers]),
        np.concatenate([cell.frac_coords, cell.frac_coords + np.eye(3)[0]]) * [0.5, 1, 1],
    )
    assert structure_fingerprint(double) == pytest.approx(structure_fingerprint(cell), abs=1e-6)
    first, second = composition_fingerprints([cell, double])
    assert first == pytest.approx(second)


@pytest.mark.parametrize(
    "crystal",
    [
        replace(silicon(), numbers=np.array([14, 0])),
        replace(silicon(), frac_coords=np.zeros((2, 3))),
        replace(silicon(), cell=np.diag([3.0, 3.0, 3000.0])),
        replace(silicon(), cell=np.full((3, 3), np.nan)),
        Crystal(5 * np.eye(3), np.zeros(0, dtype=np.int64), np.zeros((0, 3))),
    ],
    ids=["no element", "one place", "needle", "not finite", "no atoms"],
)
def test_what_is_no_sane_crystal_has_no_fingerprint(tmp_path: Path, crystal: Crystal) -> None:
    """The error says why; among many it is None, and not tried again."""
    with pytest.raises(CrystalError):
        structure_fingerprint(crystal)
    path = tmp_path / "fingerprints.jsonl"
    alone, good = structure_fingerprints([crystal, silicon()], Ledger(path))
    assert alone is None
    assert good is not None
    assert len(Ledger(path)) == 2


def test_kept_fingerprints_are_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run computes only what is new, whatever else is asked, and tells how far it is."""
    crystals = [rock_salt(0), silicon(), rock_salt(0)]
    path = tmp_path / "fingerprints.jsonl"
    standard = Standardisation.of(SALTS)
    first = fingerprints_of(crystals, standard, Ledger(path))
    assert len(first) == 3
    asked: list[str] = []

    def counted(crystal: Crystal) -> np.ndarray:
        asked.append(crystal.id)
        return structure_fingerprint(crystal)

    monkeypatch.setattr(subject, "structure_fingerprint", counted)
    told: list[tuple[int, int]] = []
    again = fingerprints_of([*crystals, iron()], standard, Ledger(path), progress=lambda *at: told.append(at))
    assert asked == ["Fe"]
    assert told == [(4, 4)]
    assert again.structure[:3] == pytest.approx(first.structure, abs=1e-8)
    assert again.composition[:3] == pytest.approx(first.composition)


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    """Two processes give the fingerprints of one, in order."""
    crystals = [rock_salt(number) for number in range(12)]
    together = structure_fingerprints(crystals, Ledger(tmp_path / "two.jsonl"), processes=2)
    alone = structure_fingerprints(crystals, Ledger(tmp_path / "one.jsonl"))
    assert np.array(together) == pytest.approx(np.array(alone), abs=1e-12)
