from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_retrieval.sources.source import SourceFileError
from crystalmesh_retrieval.training.hull import with_hull_distances
from crystalmesh_retrieval.training.pairs import digest, read_pairs
from crystalmesh_retrieval.training.run import read_split
from tests.retrieval.training.datasets import pairs_of, write_split, write_table


def test_texts_of_a_material(split_folder: Path) -> None:
    """Both texts of rock salt, with the formula and without: then no element is named."""
    pair = pairs_of(split_folder)[1]
    assert pair.formula == "Na2O2"
    without = "space group 225; formation energy -1.969 eV/atom; band gap 0.100 eV"
    assert pair.property_text(formula=False) == without
    assert pair.property_text() == f"Na2O2; {without}"
    assert "space group" not in pair.property_text(formula=False, space_group=False)
    assert pair.structure.startswith("Na2O2: rock salt (NaCl type), AB_cF8_225, cubic")
    assert "Na" not in pair.structure_text(formula=False)


def test_texts_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read again they come from the cache, the same; another file with the same name is described anew."""
    table = write_split(tmp_path / "data") / "val.parquet"
    first = read_pairs(table, tmp_path / "texts", processes=1)
    with monkeypatch.context() as patched:
        patched.setattr("crystalmesh_retrieval.training.pairs.describe_structure", None)
        assert read_pairs(table, tmp_path / "texts", processes=1) == first
    rows = pq.read_table(table).slice(2).to_pylist()
    write_table(table, rows)
    assert read_pairs(table, tmp_path / "texts", processes=1) == first[2:]


def test_rows_that_are_no_crystals_are_left_out(tmp_path: Path) -> None:
    """Two atoms in one place, a cell that is missing: the others stay; with none left it is an error."""
    rows = pq.read_table(write_split(tmp_path) / "val.parquet").to_pylist()
    rows[0]["frac_coords"] = [0.0] * 6
    rows[1]["cell"] = None
    write_table(tmp_path / "some.parquet", rows)
    assert len(read_pairs(tmp_path / "some.parquet", tmp_path / "texts", processes=1)) == len(rows) - 2
    write_table(tmp_path / "none.parquet", rows[:2])
    with pytest.raises(InvalidFieldError, match="no rows that are materials"):
        read_pairs(tmp_path / "none.parquet", tmp_path / "texts", processes=1)


def test_wrong_tables_are_told_from_each_other(tmp_path: Path) -> None:
    """Not there, not Parquet, without structures, without properties: each is said as what it is."""
    rows = pq.read_table(write_split(tmp_path) / "val.parquet").to_pylist()
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    write_table(tmp_path / "flat.parquet", [{"id": row["id"], "band_gap_ev": 1.0} for row in rows])
    structures = ("id", "cell", "numbers", "frac_coords")
    write_table(tmp_path / "bare.parquet", [{name: row[name] for name in structures} for row in rows])
    for name, message in (
        ("absent", "is not there"),
        ("torn", "no readable Parquet file"),
        ("flat", "has no cell, frac_coords, numbers"),
        ("bare", "has none of formation_energy_ev_per_atom"),
    ):
        with pytest.raises(InvalidFieldError, match=message):
            read_pairs(tmp_path / f"{name}.parquet", tmp_path / "texts", processes=1)


def test_missing_hull_distances_by_hand(split_folder: Path, tmp_path: Path) -> None:
    """Halfway between two elements at zero and a compound at -1 it is the compound; what is known stays."""
    pair = replace(pairs_of(split_folder)[0], formula="LiO", energy_above_hull_ev_per_atom=None)
    rows = [
        {"id": "Li", "formula": "Li", "formation_energy_ev_per_atom": 0.0},
        {"id": "O", "formula": "O2", "formation_energy_ev_per_atom": 0.0},
        {"id": "low", "formula": "Li2O2", "formation_energy_ev_per_atom": -1.0},
    ]
    write_table(tmp_path / "hull.parquet", rows)
    asked = [
        replace(pair, formation_energy_ev_per_atom=-0.7),
        replace(pair, formation_energy_ev_per_atom=-1.5),
        replace(pair, formula="Li3O", formation_energy_ev_per_atom=-0.4),
        replace(pair, energy_above_hull_ev_per_atom=0.123),
        replace(pair, formula="Li9Cf", formation_energy_ev_per_atom=-0.7),
        replace(pair, formation_energy_ev_per_atom=None),
    ]
    found = [
        made.energy_above_hull_ev_per_atom for made in with_hull_distances(asked, tmp_path / "hull.parquet")
    ]
    assert found[:4] == pytest.approx([0.3, 0.0, 0.1, 0.123])
    assert found[4:] == [None, None]


def test_a_hull_needs_entries(split_folder: Path, tmp_path: Path) -> None:
    """A table that is none is an error only where something is missing."""
    pairs = pairs_of(split_folder)
    write_table(tmp_path / "hull.parquet", [{"id": "a", "formula": "Li"}])
    with pytest.raises(SourceFileError, match="no table of entries"):
        with_hull_distances(pairs, tmp_path / "hull.parquet")
    complete = [pair for pair in pairs if pair.energy_above_hull_ev_per_atom is not None]
    assert with_hull_distances(complete, tmp_path / "hull.parquet") == complete


def test_splits_that_overlap_are_refused(tmp_path: Path) -> None:
    """A material of test that is in train too ends it before anything is learnt."""
    folder = write_split(tmp_path)
    rows = pq.read_table(folder / "test.parquet").to_pylist()
    rows += pq.read_table(folder / "train.parquet").to_pylist()[:1]
    write_table(folder / "test.parquet", rows)
    with pytest.raises(InvalidFieldError, match="1 materials of test are in train, salt-0"):
        read_split(folder, tmp_path / "texts", processes=1)
    with pytest.raises(SourceFileError, match=r"no folder with train\.parquet"):
        read_split(tmp_path / "absent", tmp_path / "texts")


def test_digest_tells_data_apart(split_folder: Path) -> None:
    """One number changed is another data set."""
    pairs = pairs_of(split_folder)
    assert digest(pairs) == digest(list(pairs))
    assert digest(pairs) != digest([replace(pairs[0], band_gap_ev=9.0), *pairs[1:]])
