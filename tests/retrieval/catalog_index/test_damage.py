from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.catalog_index import rebuilding
from crystalmesh_retrieval.catalog_index.facts import index_facts
from crystalmesh_retrieval.catalog_index.indexed import open_indexed
from crystalmesh_retrieval.catalog_index.indexing import index_catalog
from crystalmesh_retrieval.vectors.kinds import IndexKind
from tests.retrieval.catalog_index.bag_of_words import BagOfWords, index_files, text_of, told_salts
from tests.retrieval.materials import filled

INFO = BagOfWords().info


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog of 110 materials, an index over 100 vectors and a block of ten beside it."""
    monkeypatch.setattr(rebuilding, "FEWEST_FOR_ANN", 50)
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(100)) as writer:
        index_catalog(folder, BagOfWords(), kind=IndexKind.IVF_SQ8)
        writer.add(told_salts(10, start=100))
        index_catalog(folder, BagOfWords())
    return folder


def path_of(folder: Path, part: str) -> Path:
    """The file of the index, of the vectors under it, or of those beside it."""
    opened = open_indexed(folder, INFO).opened
    assert opened.manifest.ann is not None
    files = {
        "index": opened.manifest.ann.file,
        "large block": opened.manifest.blocks[0].file,
        "small block": opened.manifest.blocks[1].file,
    }
    return folder / "index" / "bag-of-words-0123456789ab" / files[part]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(tear, "bytes instead of"), (flip, "does not match its checksum"), (Path.unlink, "is gone")],
)
@pytest.mark.parametrize(("part", "lost"), [("index", 0), ("large block", 100), ("small block", 10)])
def test_damage_is_told_and_mended(
    folder: Path, damage: Callable[[Path], None], problem: str, part: str, lost: int
) -> None:
    """Nothing damaged is served, the message names the command, and that makes again what was lost alone."""
    path = path_of(folder, part)
    damage(path)
    with pytest.raises(DataCorruptError, match=problem) as raised:
        open_indexed(folder, INFO)
    assert str(path) in str(raised.value)
    assert "`crystalmesh catalog index known --encoder bag-of-words`" in str(raised.value)
    assert [list(facts) for _, facts in index_facts(folder)] == [["damaged"]]
    encoder = BagOfWords()
    mended = index_catalog(folder, encoder)
    assert len(encoder.read) == lost
    assert (mended.info.kind, mended.info.found_count) == (IndexKind.IVF_SQ8, 110)
    (hits,) = mended.search(encoder.points(text_of(104)), 110)
    assert len({hit.location for hit in hits}) == 110
    assert index_files(folder) == mended.opened.manifest.files
    assert open_indexed(folder, INFO).info.found_count == 110


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', '{"extra": 1}'])
def test_a_damaged_manifest_is_told_and_mended(folder: Path, content: str) -> None:
    """It is derived as well: all is made again from the materials."""
    manifest = path_of(folder, "index").parent / "manifest.json"
    manifest.write_text(content)
    with pytest.raises(DataCorruptError, match=r"manifest\.json is damaged: .* catalog index known"):
        open_indexed(folder, INFO)
    encoder = BagOfWords()
    assert index_catalog(folder, encoder).info.found_count == 110
    assert len(encoder.read) == 110


def test_an_index_of_another_encoder_is_not_taken_for_this_one(folder: Path) -> None:
    """A folder that somebody has renamed is damage."""
    path_of(folder, "index").parent.rename(folder / "index" / "other-0123456789ab")
    other = type(INFO)("other", "0123456789ab", INFO.dimensions, 100, "crystalmesh")
    with pytest.raises(DataCorruptError, match="of another encoder"):
        open_indexed(folder, other)


def test_what_is_open_is_served_on(folder: Path) -> None:
    """Readers that have the files keep them, whatever happens to their names."""
    indexed = open_indexed(folder, INFO)
    for path in path_of(folder, "index").parent.iterdir():
        path.unlink()
    (hits,) = indexed.search(BagOfWords().points(text_of(3)), 1)
    assert indexed.snapshot.materials_at([hits[0].location])[0].id == "salt-3"


def test_facts_are_told_without_loading(folder: Path) -> None:
    """Kind, recall, vectors and size, by encoder and version."""
    ((name, facts),) = index_facts(folder)
    assert name == "bag-of-words-0123456789ab"
    assert (facts["kind"], facts["vectors"], facts["dimensions"]) == ("ivf_sq8", 110, INFO.dimensions)
    assert facts["recall_at_10"] >= 0.95
    assert facts["size_bytes"] == sum(
        path.stat().st_size for path in folder.rglob("*") if path.name in index_files(folder)
    )
