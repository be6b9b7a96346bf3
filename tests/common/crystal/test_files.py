"""Crystals from files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write

from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from crystalmesh_common.runtime.errors import (
    DisorderedCrystalError,
    InvalidCrystalError,
    UnreadableCrystalError,
)
from tests.conftest import iron, sodium_chloride


def test_cif(tmp_path: Path) -> None:
    """Every structure of a CIF is read, named after the file, with a number where there are several."""
    one, two = tmp_path / "salt.cif", tmp_path / "both.cif"
    one.write_text(crystal_to_cif(sodium_chloride()))
    two.write_text(crystal_to_cif(sodium_chloride("a")) + crystal_to_cif(iron("b")))
    assert [crystal.id for crystal in read_crystals(str(one))] == ["salt"]
    assert [(crystal.id, len(crystal)) for crystal in read_crystals(two)] == [("both-0", 2), ("both-1", 2)]


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR_final", "POSCAR.bulk", "iron.vasp", "iron.poscar"])
def test_poscar(tmp_path: Path, name: str) -> None:
    """POSCAR files are known by their names or suffix."""
    (tmp_path / name).write_text(crystal_to_poscar(iron()))
    (crystal,) = read_crystals(tmp_path / name)
    assert crystal.numbers.tolist() == [26, 26]
    assert crystal.id == Path(name).stem


def test_gzip(tmp_path: Path) -> None:
    """A gzipped CIF reads like the plain one."""
    path = tmp_path / "salt.cif.gz"
    path.write_bytes(gzip.compress(crystal_to_cif(sodium_chloride()).encode()))
    assert [crystal.id for crystal in read_crystals(path)] == ["salt"]


def test_frames(tmp_path: Path) -> None:
    """Every frame of an extended XYZ is a crystal with its moments."""
    path = tmp_path / "run.extxyz"
    write(path, [to_atoms(iron()), to_atoms(sodium_chloride())])
    first, second = read_crystals(path)
    assert (first.id, second.id) == ("run-0", "run-1")
    assert first.magnetic_moments is not None
    assert first.magnetic_moments.tolist() == [2.2, 2.2]
    assert second.volume == pytest.approx(sodium_chloride().volume)


def test_bad_files(tmp_path: Path) -> None:
    """Every failure is a CrystalError that starts with the name of the file."""
    bad = tmp_path / "bad.cif"
    bad.write_bytes(b"data_x\n_a \xff\xfe")
    with pytest.raises(UnreadableCrystalError, match=r"^bad\.cif: the CIF has no data block"):
        read_crystals(bad)
    half = tmp_path / "half.cif"
    half.write_text(crystal_to_cif(iron()).replace(" 1\n", " 0.5\n"))
    with pytest.raises(DisorderedCrystalError, match=r"^half\.cif: site 'Fe1' has occupancy 0\.5"):
        read_crystals(half)
    with pytest.raises(UnreadableCrystalError, match=r"^none\.cif: No such file"):
        read_crystals(tmp_path / "none.cif")
    with pytest.raises(UnreadableCrystalError, match=r"^none\.xyz: No such file"):
        read_crystals(tmp_path / "none.xyz")
    with pytest.raises(UnreadableCrystalError, match=f"^{tmp_path.name}: "):
        read_crystals(tmp_path)
    broken = tmp_path / "broken.extxyz"
    broken.write_text("2\nnonsense\nQq 0 0 0\n")
    with pytest.raises(UnreadableCrystalError, match=r"^broken\.extxyz: .*expected 2"):
        read_crystals(broken)
    truncated = tmp_path / "salt.cif.gz"
    truncated.write_bytes(gzip.compress(b"data_x" * 1000)[:20])
    with pytest.raises(UnreadableCrystalError, match=r"^salt\.cif\.gz: the compressed file is damaged"):
        read_crystals(truncated)


def test_molecules(tmp_path: Path) -> None:
    """A file of molecules is refused as not periodic."""
    path = tmp_path / "water.xyz"
    write(path, Atoms("H2O", positions=[[0, 0, 0], [0, 0, 1], [0, 1, 0]]))
    with pytest.raises(InvalidCrystalError, match=r"^water\.xyz: the atoms have no cell"):
        read_crystals(path)
