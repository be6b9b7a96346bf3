from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from crystalmesh_common.runtime.errors import UnreadableCrystalError
from crystalmesh_retrieval.catalog.material import MaterialInput
from crystalmesh_retrieval.sources import folder as folders
from crystalmesh_retrieval.sources.folder import CrystalFolder
from crystalmesh_retrieval.sources.source import BadRow, Provenance
from tests.conftest import iron, silicon, sodium_chloride


@pytest.fixture
def crystals(tmp_path: Path) -> Path:
    """Files of several kinds, a bad one, and two that are none of ours."""
    (tmp_path / "oxides").mkdir()
    (tmp_path / "salt.cif").write_text(crystal_to_cif(sodium_chloride()))
    (tmp_path / "oxides" / "salt.cif.gz").write_bytes(
        gzip.compress(crystal_to_cif(sodium_chloride(a=6.0)).encode())
    )
    (tmp_path / "POSCAR_si").write_text(crystal_to_poscar(silicon()))
    (tmp_path / "fe.vasp").write_text(crystal_to_poscar(iron()))
    (tmp_path / "two.cif").write_text(crystal_to_cif(silicon("a")) + crystal_to_cif(silicon("b")))
    (tmp_path / "bad.cif").write_text("no CIF")
    (tmp_path / "notes.txt").write_text("salt")
    (tmp_path / "INCAR").write_text("ENCUT = 520")
    return tmp_path


def test_every_crystal_file_below_is_read(crystals: Path) -> None:
    """Named after the file and the folders on the way; a bad one is named with the reason."""
    source = CrystalFolder(crystals, Provenance(database="ours", license="CC0-1.0"))
    (page,) = source.pages("")
    found = {row.id: row for row in page.rows if isinstance(row, MaterialInput)}
    assert set(found) == {"salt", "oxides/salt", "POSCAR_si", "fe", "two-0", "two-1"}
    assert found["oxides/salt"].source.source_id == "oxides/salt.cif.gz"
    assert found["fe"].source.license == "CC0-1.0"
    (bad,) = (row for row in page.rows if isinstance(row, BadRow))
    assert bad.name == "bad.cif"
    assert isinstance(bad.error, UnreadableCrystalError)


def test_pages_begin_where_the_cursor_says(crystals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor is a file, so one that is added behind it is read and one before it is not."""
    monkeypatch.setattr(folders, "PAGE_ROWS", 2)
    source = CrystalFolder(crystals, Provenance())
    pages = list(source.pages(""))
    assert [page.cursor for page in pages] == ["bad.cif", "oxides/salt.cif.gz", "two.cif"]
    (crystals / "a.cif").write_text(crystal_to_cif(silicon()))
    (crystals / "z.cif").write_text(crystal_to_cif(silicon()))
    left = [
        row.id
        for page in source.pages("oxides/salt.cif.gz")
        for row in page.rows
        if isinstance(row, MaterialInput)
    ]
    assert left == ["salt", "two-0", "two-1", "z"]


def test_one_file_is_a_source_too(crystals: Path) -> None:
    """It need not be in a folder of its own."""
    (page,) = CrystalFolder(crystals / "salt.cif", Provenance()).pages("")
    (row,) = page.rows
    assert isinstance(row, MaterialInput)
    assert row.id == "salt"


def test_an_empty_folder_has_no_pages(tmp_path: Path) -> None:
    """And is no error."""
    assert list(CrystalFolder(tmp_path, Provenance()).pages("")) == []
