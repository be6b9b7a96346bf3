from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalmesh_relaxation.reference.entries import entries_table, entry_ids
from crystalmesh_relaxation.reference.relax_entries import finished_ids, main, read_crystals
from tests.conftest import lone_atom, silicon, sodium_chloride


def table_of_crystals(path: Path) -> Path:
    """A Parquet file as the data sets have it: two crystals that relax and one that cannot."""
    crystals = [sodium_chloride(), silicon(shift=0.03), lone_atom()]
    pd.DataFrame(
        {
            "id": [crystal.id for crystal in crystals],
            "cell": [crystal.cell.ravel().astype(np.float32) for crystal in crystals],
            "numbers": [crystal.numbers.astype(np.uint8) for crystal in crystals],
            "frac_coords": [crystal.frac_coords.ravel().astype(np.float32) for crystal in crystals],
        }
    ).to_parquet(path)
    return path


def test_entries_are_relaxed_once_and_survive_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every crystal gets a line; a second run does only what a torn last line lost."""
    crystals, lines = table_of_crystals(tmp_path / "crystals.parquet"), tmp_path / "lines.jsonl"
    arguments = ["relax_entries", str(lines), str(crystals), "--known", str(tmp_path / "none.parquet")]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    whole = lines.read_text().splitlines(keepends=True)
    assert finished_ids(lines) == {"NaCl", "Si", "lone"}
    lines.write_text("".join(whole[:2]) + whole[2][:20])
    assert len(finished_ids(lines)) == 2
    main()
    again = lines.read_text().splitlines(keepends=True)
    assert again[:2] == whole[:2]
    assert [json.loads(line)["id"] for line in again[2:]] == [json.loads(whole[2])["id"]]


def test_the_table_has_each_entry_once(tmp_path: Path) -> None:
    """Lines become rows, a newer row replaces an older one, and failures are kept with their reason."""
    lines = tmp_path / "lines.jsonl"
    good = {"id": "b", "formula": "NaCl", "composition": {"11": 1, "17": 1}, "stop": "converged", "steps": 3}
    energies = {"energy_ev_per_atom": -3.5, "energy_as_given_ev_per_atom": -3.4, "volume_per_atom": 23.0}
    bad = {"id": "a", "formula": "Ar", "composition": {"18": 1}, "error": "ISOLATED_ATOM"}
    lines.write_text("".join(json.dumps(entry) + "\n" for entry in ({**good, **energies}, bad)))
    table = entries_table(lines)
    assert table["id"].tolist() == ["a", "b"]
    assert table["n_sites"].tolist() == [1, 2]
    assert table["converged"].tolist() == [False, True]
    assert table["problem"].tolist() == ["ISOLATED_ATOM", ""]
    path = tmp_path / "table.parquet"
    table.to_parquet(path)
    assert entry_ids(path) == {"a", "b"}
    assert entry_ids(tmp_path / "absent.parquet") == set()
    assert len(entries_table(lines, table)) == 2


def test_crystals_are_read_as_the_data_sets_have_them(tmp_path: Path) -> None:
    """Flat float32 columns come back as cells and sites in double precision."""
    read = list(read_crystals([table_of_crystals(tmp_path / "crystals.parquet")]))
    assert [crystal.id for crystal in read] == ["NaCl", "Si", "lone"]
    np.testing.assert_allclose(read[0].cell, sodium_chloride().cell, atol=1e-6)
    assert read[1].frac_coords.shape == (2, 3)
