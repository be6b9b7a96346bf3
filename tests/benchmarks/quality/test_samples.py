from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.ledger import Ledger
from benchmarks.quality.samples import Sample, content_hash, crystals_in, share
from benchmarks.quality.validity import validities, validity_rates
from tests.conftest import iron, silicon, sodium_chloride


def test_a_hash_follows_content_alone() -> None:
    """Ids, moments and the sign of zero do not change it; any coordinate, element or length does."""
    crystal = iron()
    same = replace(crystal, id="other", magnetic_moments=None, frac_coords=crystal.frac_coords * -1.0 * -1.0)
    assert content_hash(same) == content_hash(crystal)
    negative = replace(crystal, frac_coords=np.where(crystal.frac_coords == 0, -0.0, crystal.frac_coords))
    assert content_hash(negative) == content_hash(crystal)
    others = [
        replace(crystal, cell=crystal.cell * (1 + 1e-12)),
        replace(crystal, numbers=np.array([26, 27])),
        replace(crystal, frac_coords=crystal.frac_coords + 1e-12),
    ]
    assert len({content_hash(other) for other in [crystal, *others]}) == 4


def test_what_is_no_crystal_counts() -> None:
    """Shares are of all samples, and a sample without a crystal is invalid both ways."""
    close = replace(silicon(), frac_coords=np.array([[0, 0, 0], [0.02, 0.02, 0.02]]))
    samples = [Sample(sodium_chloride()), Sample(close), Sample(None, "cut short"), Sample(iron())]
    rates = validity_rates(validities(samples))
    assert (rates.parsed, rates.structural, rates.compositional, rates.valid) == (0.75, 0.5, 0.75, 0.5)
    assert [crystal.id for crystal in crystals_in(samples)] == ["NaCl", "Si", "Fe"]
    assert np.isnan(share(0, 0))


def test_a_ledger_outlives_its_writer(tmp_path: Path) -> None:
    """What was written whole is there again; a line cut short is not, and does not spoil the next."""
    path = tmp_path / "kept" / "some.jsonl"
    Ledger(path).write("a", {"value": 1.5})
    with path.open("a") as file:
        file.write('{"key": "b", "val')
    again = Ledger(path)
    assert len(again) == 1
    assert again["a"] == {"value": 1.5}
    again.write("b", {"value": 2})
    again.write("c", {"value": 3})
    last = Ledger(path)
    assert {key: last[key]["value"] for key in "abc"} == {"a": 1.5, "b": 2, "c": 3}
    assert "d" not in last


@pytest.mark.parametrize("line", ["[1]", "3", '{"value": 1}', "null", '"key"'])
def test_a_foreign_line_is_passed_over(tmp_path: Path, line: str) -> None:
    """Lines of JSON that are no results are left alone."""
    path = tmp_path / "some.jsonl"
    path.write_text(line + "\n")
    assert len(Ledger(path)) == 0
