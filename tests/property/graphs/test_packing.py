from pathlib import Path

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import DataCorruptError, InvalidFieldError
from crystalmesh_property.graphs import packing
from crystalmesh_property.graphs.graph import GraphOptions, build_graph
from crystalmesh_property.graphs.packed import PackedGraphs
from crystalmesh_property.graphs.packing import pack
from crystalmesh_property.properties import Property
from tests.property.crystals import random_crystal, rock_salt, salts_table, write_table


@pytest.fixture
def few_rows_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PART_ROWS", 4)


def test_what_is_packed_comes_back(tmp_path: Path, few_rows_a_part: None) -> None:
    """Every graph, label and flag of a table is read as it was built, over the borders of parts."""
    crystals = [random_crystal(seed, atoms=3, id=f"r-{seed}") for seed in range(10)]
    columns = {
        "band_gap_ev": [None if n == 3 else n / 2 for n in range(10)],
        "magnetization_mu_b_per_a3": [0.01 * n for n in range(10)],
        "fold": [n % 5 for n in range(10)],
        "overlaps_mp20_eval": [n == 7 for n in range(10)],
    }
    packed = pack(write_table(tmp_path / "t.parquet", crystals, columns), tmp_path / "t.graphs")
    assert packed.ids == [crystal.id for crystal in crystals]
    assert packed.folds.tolist() == [0, 1, 2, 3, 4] * 2
    assert packed.overlaps.tolist() == [int(n == 7) for n in range(10)]
    gaps = packed.label(Property.BAND_GAP)
    assert np.isnan(gaps[3])
    assert gaps[4] == 2
    assert packed.label(Property.MAGNETIZATION)[5] == np.float32(0.05)
    assert np.isnan(packed.label(Property.SHEAR_MODULUS)).all()
    for n, crystal in enumerate(crystals):
        single = Crystal(
            crystal.cell.astype(np.float32).astype(float),
            crystal.numbers,
            crystal.frac_coords.astype(np.float32).astype(float),
        )
        wanted, found = build_graph(single), packed.graph(n)
        for name in (
            "elements",
            "multiplicities",
            "targets",
            "sources",
            "counts",
            "distances_angstrom",
            "angles",
        ):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
        assert found.space_group == wanted.space_group


def test_a_table_without_folds_or_flags_says_so(tmp_path: Path) -> None:
    """Unknown folds and overlaps are -1, not 0."""
    packed = pack(salts_table(tmp_path / "t.parquet", range(3)), tmp_path / "t.graphs")
    assert packed.folds.tolist() == packed.overlaps.tolist() == [-1] * 3


def test_what_is_no_crystal_is_left_out_and_named(tmp_path: Path) -> None:
    """Two atoms at one place leave a row out; its number and reason stay with the file."""
    twice = Crystal(np.eye(3) * 4, np.array([1, 1]), np.zeros((2, 3)), "twice")
    table = write_table(tmp_path / "t.parquet", [rock_salt(0), twice, rock_salt(1)], {})
    packed = pack(table, tmp_path / "t.graphs")
    assert packed.ids == ["salt-0000", "salt-0001"]
    assert packed.rows.tolist() == [0, 2]
    ((row, why),) = packed.origin.left_out
    assert row == 1
    assert "apart" in why


def test_a_broken_run_goes_on(tmp_path: Path, few_rows_a_part: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that were finished before a failure are not made again, and the file is the same."""
    table = salts_table(tmp_path / "t.parquet", range(12))
    whole = pack(table, tmp_path / "whole.graphs").path.read_bytes()
    built = []

    def build(crystal: Crystal, options: GraphOptions) -> object:
        built.append(crystal.id)
        if len(built) == 10:
            raise KeyboardInterrupt
        return build_graph(crystal, options)

    monkeypatch.setattr(packing, "build_graph", build)
    with pytest.raises(KeyboardInterrupt):
        pack(table, tmp_path / "t.graphs")
    seen = []
    packed = pack(table, tmp_path / "t.graphs", progress=lambda done, rows: seen.append((done, rows)))
    assert built[10:] == [f"salt-{n:04d}" for n in range(8, 12)]
    assert seen == [(8, 12), (12, 12)]
    assert packed.path.read_bytes() == whole
    assert not list(tmp_path.glob("*.parts"))


def test_what_is_there_is_used_and_what_is_of_other_options_made_anew(tmp_path: Path) -> None:
    """The same table and options open the file; other options, or another table, build another."""
    table, path = salts_table(tmp_path / "t.parquet", range(3)), tmp_path / "t.graphs"
    first = pack(table, path).path.stat().st_mtime_ns
    assert pack(table, path).path.stat().st_mtime_ns == first
    assert len(pack(table, path, GraphOptions(neighbours=4)).graph(0).targets) < len(
        pack(table, path).graph(0).targets
    )
    salts_table(table, range(5))
    assert len(pack(table, path)) == 5


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_a_flipped_bit_is_found(tmp_path: Path, share: float) -> None:
    """Damage anywhere in the file raises DataCorruptError on opening, and packing makes the file again."""
    table = salts_table(tmp_path / "t.parquet", range(20))
    path = pack(table, tmp_path / "t.graphs").path
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(share * len(whole))] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(DataCorruptError):
        PackedGraphs.open(path)
    assert pack(table, path).path.read_bytes() == whole


@pytest.mark.parametrize("kept", [0, 5, 100, 1000, -8])
def test_a_file_cut_short_is_found(tmp_path: Path, kept: int) -> None:
    """A file that ends early raises DataCorruptError."""
    path = pack(salts_table(tmp_path / "t.parquet", range(5)), tmp_path / "t.graphs").path
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataCorruptError):
        PackedGraphs.open(path)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    """A missing file, a file of something else and a table without cells raise InvalidFieldError."""
    with pytest.raises(InvalidFieldError, match="cannot be read"):
        pack(tmp_path / "none.parquet", tmp_path / "t.graphs")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InvalidFieldError, match="no readable Parquet"):
        pack(tmp_path / "text.parquet", tmp_path / "t.graphs")
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InvalidFieldError, match="lacks the columns cell"):
        pack(tmp_path / "other.parquet", tmp_path / "t.graphs")
