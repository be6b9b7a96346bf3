from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from crystalmesh_generation.pairs.pairing import PairRequest, make_pairs
from crystalmesh_generation.pairs.standard import standard_setting
from crystalmesh_generation.pairs.standard_table import StandardCrystal, prototype_of
from crystalmesh_generation.pairs.substitutions import (
    mine,
    mined_substitutions,
    random_exchanges,
    single_exchanges,
)
from crystalmesh_generation.pairs.volumes import fitted_volumes
from crystalmesh_generation.substitution.table import SubstitutionTable
from tests.generation.pairs.structures import perovskite, rock_salt, zincblende
from tests.property.crystals import write_table

_SIZES = {3: 20.0, 11: 25.0, 19: 40.0, 9: 10.0, 17: 20.0, 35: 30.0}
"""Å³ that atoms of the salts of these tests take."""


def _salts() -> list[StandardCrystal]:
    """All salts of three metals and three halogens, and one crystal of another structure."""
    crystals = [
        rock_salt((metal, halogen), a=float(np.cbrt(4 * (_SIZES[metal] + _SIZES[halogen]))))
        for metal in (3, 11, 19)
        for halogen in (9, 17, 35)
    ]
    standard = [standard_setting(crystal) for crystal in [*crystals, zincblende((11, 53))]]
    return [StandardCrystal(row, crystal, *prototype_of(crystal)) for row, crystal in enumerate(standard)]


def test_counts_single_exchanges_of_one_prototype() -> None:
    """In each context an element weighs 1, shared among the others; other structures do not count."""
    counts = single_exchanges(_salts())
    assert counts[3, 11] == counts[3, 19] == pytest.approx(3 / 2)
    assert counts[9, 17] == pytest.approx(3 / 2)
    assert counts[3, 9] == counts[17, 53] == 0
    np.testing.assert_array_equal(counts, counts.T)


def test_counts_random_pairs_by_role() -> None:
    """In random pairs, too, metals stand for metals, and nothing stands for itself."""
    counts = random_exchanges(_salts(), seed=0)
    assert counts[3, 11] > 0
    assert counts[[3, 11, 19]][:, [9, 17, 35, 53]].sum() == 0
    assert np.diagonal(counts).sum() == 0
    np.testing.assert_array_equal(counts, counts.T)
    np.testing.assert_array_equal(counts, random_exchanges(_salts(), seed=0))


def test_volumes_foretell_how_cells_grow(tmp_path: Path) -> None:
    """Volumes of elements, fitted to salts that are sums of them, give their ratios back."""
    salts = _salts()[:9]
    table = write_table(tmp_path / "salts.parquet", [each.crystal for each in salts], {})
    pairs = make_pairs(PairRequest(table, table), tmp_path / "pairs").pairs
    volumes = fitted_volumes(salts, pairs)
    for each in salts:
        growth = each.crystal.volume / salts[0].crystal.volume
        told = volumes[each.crystal.numbers].sum() / volumes[salts[0].crystal.numbers].sum()
        assert told == pytest.approx(growth, rel=0.01)


def test_every_element_has_a_volume() -> None:
    """Elements that no crystal has get a volume of the size of an atom."""
    volumes = fitted_volumes(_salts(), [])
    assert volumes.shape == (119,)
    assert volumes[1:].min() > 0.5
    assert volumes[1:].max() < 200


def test_mining_is_reproducible() -> None:
    """The same crystals give the same table under the same version; others give another version."""
    first, again = (mined_substitutions(_salts(), [], made_from="salts") for _ in range(2))
    other = mined_substitutions(_salts()[1:], [], made_from="salts")
    assert first.version == again.version != other.version
    np.testing.assert_array_equal(first.counts, again.counts)


def test_command_line(tmp_path: Path) -> None:
    """The command writes a table that can be read, and says how far the volumes can be trusted."""
    import typer

    crystals = [each.crystal for each in _salts()]
    table = write_table(tmp_path / "salts.parquet", [*crystals, perovskite()], {})
    make_pairs(PairRequest(table, table), tmp_path / "pairs")
    app = typer.Typer()
    app.command()(mine)
    asked = ["--pairs", str(tmp_path / "pairs"), "--into", str(tmp_path / "table.json")]
    ran = CliRunner().invoke(app, [*asked, "--unseen", str(tmp_path / "pairs")])
    assert ran.exit_code == 0, ran.output
    assert "11 crystals" in ran.output
    assert "median error" in ran.output
    assert SubstitutionTable.read(tmp_path / "table.json").probability(3, 11) > 0
    ran = CliRunner().invoke(app, ["--pairs", str(tmp_path), "--into", str(tmp_path / "other.json")])
    assert ran.exit_code != 0
