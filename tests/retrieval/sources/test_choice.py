from __future__ import annotations

from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import TokenMissingError
from crystalmesh_retrieval.sources.choice import Wishes, source_named
from crystalmesh_retrieval.sources.folder import CrystalFolder
from crystalmesh_retrieval.sources.matbench import MatbenchFile
from crystalmesh_retrieval.sources.materials_project import MaterialsProject
from crystalmesh_retrieval.sources.nomad import NomadArchive
from crystalmesh_retrieval.sources.optimade import OptimadeProvider
from crystalmesh_retrieval.sources.source import Source, SourceFileError
from crystalmesh_retrieval.sources.tables import CsvTable, ParquetTable
from tests.retrieval.sources.replies import Waits


def chosen(name: str | Path, wishes: Wishes | None = None) -> Source:
    return source_named(str(name), wishes or Wishes(), downloads=Path("downloads"), web=Waits().web())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t.parquet", ParquetTable),
        ("t.csv", CsvTable),
        ("t.CSV.gz", CsvTable),
        ("t.json", MatbenchFile),
        ("t.json.gz", MatbenchFile),
        ("x.cif", CrystalFolder),
        ("POSCAR", CrystalFolder),
    ],
)
def test_files_are_known_by_their_names(tmp_path: Path, name: str, kind: type[object]) -> None:
    """The suffix decides, gzipped or not."""
    (tmp_path / name).write_text("")
    assert isinstance(chosen(tmp_path / name), kind)


def test_folders_and_databases_are_known_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was wished for each."""
    assert isinstance(chosen(tmp_path), CrystalFolder)
    provider = chosen("optimade:https://oqmd.org/optimade", Wishes(filter="nelements=2", page_size=7))
    assert isinstance(provider, OptimadeProvider)
    assert (provider.base_url, provider.filter, provider.page_size) == (
        "https://oqmd.org/optimade",
        "nelements=2",
        7,
    )
    nomad = chosen("nomad", Wishes(filter="Li-O"))
    assert isinstance(nomad, NomadArchive)
    assert (nomad.elements, nomad.page_size) == (("Li", "O"), 200)
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(TokenMissingError):
        chosen("materials-project")
    monkeypatch.setenv("MP_API_KEY", "key")
    project = chosen("materials-project", Wishes(filter="Li-O"))
    assert isinstance(project, MaterialsProject)
    assert project.chemical_system == "Li-O"


def test_what_is_no_source_says_what_is(tmp_path: Path) -> None:
    """A path that is not there, and a file of another kind."""
    with pytest.raises(SourceFileError, match="no file or folder, nor one of optimade:URL, nomad"):
        chosen(tmp_path / "absent.parquet")
    (tmp_path / "t.xlsx").write_text("")
    with pytest.raises(SourceFileError, match=r"files are read that end in \.parquet"):
        chosen(tmp_path / "t.xlsx")
