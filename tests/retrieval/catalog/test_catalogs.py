from __future__ import annotations

from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import InvalidFieldError, ResourceNotFoundError, WriterBusyError
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from tests.retrieval.materials import salts


@pytest.fixture
def catalogs(tmp_path: Path) -> Catalogs:
    return Catalogs(tmp_path / "catalogs")


def test_catalogs_of_a_user_are_in_the_home_of_the_mesh(tmp_path: Path) -> None:
    """CRYSTALMESH_HOME moves them along."""
    assert Catalogs.of_this_user().root == tmp_path / "mesh-home" / "catalogs"


def test_catalogs_are_made_listed_and_deleted(catalogs: Catalogs) -> None:
    """Looking makes nothing; making twice keeps what is there; deleting leaves nothing."""
    assert catalogs.names() == []
    assert not catalogs.root.exists()
    catalogs.create("one", "the first")
    catalogs.create("two")
    with catalogs.writer("one") as writer:
        writer.add(salts(2))
    catalogs.create("one", "another")
    assert catalogs.names() == ["one", "two"]
    assert catalogs.manifest("one").description == "the first"
    assert len(catalogs.open("one")) == 2
    reader = catalogs.open("one")
    catalogs.delete("one")
    assert catalogs.names() == ["two"]
    assert not catalogs.folder("one").exists()
    assert reader.get("salt-1") is not None
    with pytest.raises(ResourceNotFoundError):
        catalogs.open("one")


def test_a_catalog_that_is_written_to_is_not_deleted(catalogs: Catalogs) -> None:
    """Whoever deletes is a writer, too."""
    catalogs.create("one")
    with catalogs.writer("one") as writer:
        with pytest.raises(WriterBusyError):
            catalogs.delete("one")
        writer.add(salts(1))
    assert len(catalogs.open("one")) == 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "-a", "a b", "é", "x" * 101, "a\x00"])
def test_names_that_are_no_folders_are_refused(catalogs: Catalogs, name: str) -> None:
    """A name never leads out of the folder of the catalogs."""
    for use in (catalogs.create, catalogs.open, catalogs.delete):
        with pytest.raises(InvalidFieldError, match="is no name for a catalog"):
            use(name)
