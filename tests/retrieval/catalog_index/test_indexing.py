from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crystalmesh_common.crystal.description import describe_structure
from crystalmesh_common.runtime.errors import InvalidFieldError, ModelFailedError, WriterBusyError
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.filters import MaterialFilter, PropertyBounds
from crystalmesh_retrieval.catalog.material import Property
from crystalmesh_retrieval.catalog_index import indexing, rebuilding, texts
from crystalmesh_retrieval.catalog_index.folder import IndexFolder
from crystalmesh_retrieval.catalog_index.indexed import IndexedSnapshot, open_indexed
from crystalmesh_retrieval.catalog_index.indexing import index_catalog
from crystalmesh_retrieval.catalog_index.rebuilding import kind_due, property_queries, rebuild
from crystalmesh_retrieval.encoders.encoder import Embeddings, EncoderInfo, Tower
from crystalmesh_retrieval.vectors import building
from crystalmesh_retrieval.vectors.kinds import IndexKind
from tests.retrieval.catalog_index.bag_of_words import (
    DIMENSIONS,
    BagOfWords,
    index_files,
    text_of,
    told,
    told_salts,
)
from tests.retrieval.materials import diamond, filled, new_catalog, salt


def found(indexed: IndexedSnapshot, text: str, limit: int, wanted: MaterialFilter | None = None) -> list[str]:
    """The ids of what is nearest to a text."""
    (hits,) = indexed.search(BagOfWords().points(text), limit, wanted or MaterialFilter())
    materials = indexed.snapshot.materials_at([hit.location for hit in hits])
    return [material.id for material in materials]


def test_materials_are_found_by_their_texts(tmp_path: Path) -> None:
    """The one with the text first, then its family, with similarities that fall."""
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(50)):
        indexed = index_catalog(folder, BagOfWords())
    assert found(indexed, text_of(17), 1) == ["salt-17"]
    assert set(found(indexed, text_of(17), 7)) == {f"salt-{n}" for n in range(14, 21)}
    (hits,) = indexed.search(BagOfWords().points(text_of(17)), 50)
    assert hits[0].similarity == pytest.approx(1, abs=1e-3)
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    assert len({hit.location for hit in hits}) == 50
    info = indexed.info
    assert (info.kind, info.encoder, info.dimensions) == (IndexKind.FLAT, "bag-of-words", DIMENSIONS)
    assert (info.found_count, info.missing_count, info.recall_at_10) == (50, 0, 1.0)


def test_equally_near_materials_come_in_the_order_of_the_catalog(tmp_path: Path) -> None:
    """Whatever blocks they are in."""
    folder = tmp_path / "catalogs" / "known"
    same = [told(material, "one text") for material in told_salts(9)]
    with filled(tmp_path, *same[:5]) as writer:
        index_catalog(folder, BagOfWords())
        writer.add(same[5:6])
        index_catalog(folder, BagOfWords())
        writer.add(same[6:])
        indexed = index_catalog(folder, BagOfWords())
    assert len(indexed.opened.blocks) > 1
    assert found(indexed, "one text", 9) == [f"salt-{n}" for n in range(9)]
    assert found(indexed, "one text", 7) == [f"salt-{n}" for n in range(7)]


def test_each_material_is_encoded_once(tmp_path: Path) -> None:
    """Merged segments take their vectors along; only what is new or changed is read."""
    folder = tmp_path / "catalogs" / "known"
    encoder = BagOfWords()
    with filled(tmp_path, *told_salts(3)) as writer:
        indexed = index_catalog(folder, encoder)
        for n in range(3, 20):
            writer.add(told_salts(1, start=n))
            indexed = index_catalog(folder, encoder, before=indexed)
            assert encoder.read == [text_of(m) for m in range(n + 1)]
        assert len(writer.snapshot.manifest.segments) < 6
        assert len(indexed.opened.blocks) < 6
        writer.add([told(salt("salt-4"), "another")])
        writer.remove(["salt-5"])
        indexed = index_catalog(folder, encoder)
    assert encoder.read[20:] == ["another"]
    assert sorted(found(indexed, "another", 100)) == sorted(f"salt-{n}" for n in range(20) if n != 5)
    assert found(indexed, "another", 1) == ["salt-4"]


def test_what_is_gone_is_not_found(tmp_path: Path) -> None:
    """Removed and replaced materials are not answered with, by readers that open the catalog after it."""
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(20)) as writer:
        before = index_catalog(folder, BagOfWords())
        writer.remove(["salt-3"])
        writer.add([told(salt("salt-4"), "elsewhere")])
        after = open_indexed(folder, BagOfWords().info, before)
    assert {"salt-3", "salt-4"} <= set(found(before, text_of(3), 20))
    assert found(after, text_of(3), 20).count("salt-3") == 0
    # The new salt-4 has no vector yet, and the old one is gone.
    assert (after.info.found_count, after.info.missing_count) == (18, 1)
    assert "salt-4" not in found(after, text_of(4), 20)
    # What came back as it was is found again, without being encoded.
    with Catalogs(tmp_path / "catalogs").writer("known") as writer:
        writer.add(told_salts(2, start=3))
    again = open_indexed(folder, BagOfWords().info, after)
    assert again.info.missing_count == 0
    assert found(again, text_of(4), 1) == ["salt-4"]


def test_filters_act_inside_the_search(tmp_path: Path) -> None:
    """A strict filter fills the limit; one that nothing passes gives an empty answer."""
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(40), told(diamond(), "family0 member0")):
        indexed = index_catalog(folder, BagOfWords())
    wide = MaterialFilter(properties={Property.BAND_GAP: PropertyBounds(0.030, 0.035)})
    assert sorted(found(indexed, text_of(0), 6, wide)) == [f"salt-{n}" for n in range(30, 36)]
    assert found(indexed, text_of(0), 5, MaterialFilter(required_elements=[14])) == ["si"]
    assert found(indexed, text_of(0), 5, MaterialFilter(required_elements=[92])) == []
    assert indexed.search(BagOfWords().points("a", "b")[:0], 3) == []
    assert indexed.search(BagOfWords().points("a", "b"), 0) == [[], []]


def test_what_was_brought_without_a_text_is_described(tmp_path: Path) -> None:
    """By our own describer, in the same words as everywhere."""
    folder = tmp_path / "catalogs" / "known"
    encoder = BagOfWords()
    bare = [replace(material, structure_description="") for material in told_salts(2, start=3)]
    with filled(tmp_path, diamond(), *told_salts(1), *bare):
        index_catalog(folder, encoder)
    described = [describe_structure(material.crystal) for material in (diamond(), *bare)]
    assert encoder.read == [described[0], text_of(0), *described[1:]]


def test_several_processes_describe_as_one_does(tmp_path: Path) -> None:
    """The same texts, in the same order."""
    folder = tmp_path / "catalogs" / "known"
    encoder = BagOfWords()
    bare = [replace(material, structure_description="") for material in told_salts(40)]
    with filled(tmp_path, diamond(), *bare):
        index_catalog(folder, encoder, processes=2)
    assert encoder.read == [describe_structure(material.crystal) for material in (diamond(), *bare)]


def test_what_cannot_be_described_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, tried once, and never found; what is merged and built anew remembers it."""
    folder = tmp_path / "catalogs" / "known"

    class Silent:
        def describe(self, *_: object, **__: object) -> str:
            raise InvalidFieldError("no words")

    monkeypatch.setattr(texts, "describer", lambda _: Silent())
    encoder = BagOfWords()
    with filled(tmp_path, diamond("first"), *told_salts(3), diamond()) as writer:
        indexed = index_catalog(folder, encoder)
        assert (indexed.info.found_count, indexed.info.without_text_count) == (3, 2)
        writer.add(told_salts(5, start=3))
        indexed = index_catalog(folder, encoder)
    assert encoder.read == [text_of(n) for n in range(8)]
    assert len(indexed.opened.blocks) == 1
    assert (indexed.info.missing_count, indexed.info.without_text_count) == (0, 2)
    assert not {"first", "si"} & set(found(indexed, "anything", 100))


def test_vectors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    """An encoder that fails so ends the run, and what was there stays."""
    folder = tmp_path / "catalogs" / "known"

    class Broken(BagOfWords):
        def encode(self, tower: Tower, texts: object) -> Embeddings:
            return Embeddings(np.full((1, DIMENSIONS), np.nan, dtype=np.float32), np.zeros(1, dtype=bool))

    with filled(tmp_path, *told_salts(1)), pytest.raises(ModelFailedError, match="not finite"):
        index_catalog(folder, Broken())
    assert open_indexed(folder, BagOfWords().info).info.missing_count == 1


def test_two_encoders_have_an_index_each(tmp_path: Path) -> None:
    """Vectors of one version are never compared with those of another."""
    folder = tmp_path / "catalogs" / "known"
    other = EncoderInfo("bag-of-words", "ba9876543210", DIMENSIONS, 100, "crystalmesh")
    with filled(tmp_path, *told_salts(2)):
        index_catalog(folder, BagOfWords())
    assert open_indexed(folder, other).info.missing_count == 2
    assert index_catalog(folder, BagOfWords(other)).info.missing_count == 0
    assert len(list((folder / "index").iterdir())) == 2


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden", "a" * 200])
def test_an_encoder_cannot_name_a_folder_elsewhere(tmp_path: Path, name: str) -> None:
    """Only plain names are folders."""
    new_catalog(tmp_path)
    info = replace(BagOfWords().info, name=name, version="" if not name else "0123456789ab")
    with pytest.raises(InvalidFieldError, match="no name for an encoder"):
        open_indexed(tmp_path / "catalogs" / "known", info)


def test_an_empty_catalog_is_searched(tmp_path: Path) -> None:
    """And nothing is found, before and after it is indexed."""
    new_catalog(tmp_path)
    folder = tmp_path / "catalogs" / "known"
    for indexed in (open_indexed(folder, BagOfWords().info), index_catalog(folder, BagOfWords())):
        assert found(indexed, "anything", 3) == []
        assert indexed.info.found_count == 0


def test_opening_an_indexed_catalog_writes_nothing(tmp_path: Path) -> None:
    """A catalog that came with the package is opened, searched and found complete where nobody may write."""
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(5)):
        index_catalog(folder, BagOfWords())
    paths = [folder, *folder.rglob("*")]
    before = {path: path.stat().st_mtime_ns for path in paths}
    for path in paths:
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
    try:
        encoder = BagOfWords()
        assert found(index_catalog(folder, encoder), text_of(2), 1) == ["salt-2"]
        assert encoder.read == []
        assert {path: path.stat().st_mtime_ns for path in paths} == before
    finally:
        for path in paths:
            path.chmod(stat.S_IRWXU)


def test_one_encodes_at_a_time(tmp_path: Path) -> None:
    """Another is told who does; whoever adds materials is not held up."""
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(2)) as writer:
        with (
            IndexFolder(folder, BagOfWords().info).encoding_lock(),
            pytest.raises(WriterBusyError, match=r"known's index bag-of-words.* run this again"),
        ):
            index_catalog(folder, BagOfWords())
        assert writer.add(told_salts(1, start=2)).added == 1
        assert index_catalog(folder, BagOfWords()).info.found_count == 3


def test_progress_tells_how_much_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Materials encoded, of those that had no vector; what is committed is not lost with the next."""
    monkeypatch.setattr(indexing, "COMMIT_TEXTS", 2)
    folder = tmp_path / "catalogs" / "known"
    seen: list[tuple[str, int, int]] = []
    with filled(tmp_path, *told_salts(3)) as writer:
        writer.add(told_salts(1, start=3))
        index_catalog(folder, BagOfWords(), progress=lambda *step: seen.append(step))
    assert seen[0] == ("encoding", 0, 4)
    assert seen[-1] == ("encoding", 4, 4)


def test_materials_that_come_meanwhile_are_encoded_too(tmp_path: Path) -> None:
    """A run ends when nothing is missing."""
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(2)) as writer:

        class Slow(BagOfWords):
            def encode(self, tower: Tower, texts: object) -> Embeddings:
                writer.add(told_salts(1, start=2))
                return super().encode(tower, texts)  # type: ignore[arg-type]

        assert index_catalog(folder, Slow()).info.found_count == 3


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index over a hundred vectors, of which no more than forty are searched without one."""
    monkeypatch.setattr(rebuilding, "FEWEST_FOR_ANN", 50)
    monkeypatch.setattr(rebuilding, "FLAT_BYTES", 40 * 2 * DIMENSIONS)
    monkeypatch.setattr(rebuilding, "choose_kind", lambda rows, _: _kind(rows))


def _kind(rows: int) -> IndexKind:
    return IndexKind.FLAT if rows <= 40 else IndexKind.IVF_SQ8


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("kind", [IndexKind.HNSW, IndexKind.IVF_SQ8, IndexKind.IVF_PQ])
def test_an_index_and_what_came_after_it_are_one(tmp_path: Path, kind: IndexKind) -> None:
    """New, replaced and removed materials count at once, with an index of any kind below."""
    folder = tmp_path / "catalogs" / "known"
    encoder = BagOfWords()
    with filled(tmp_path, *told_salts(200)) as writer:
        indexed = index_catalog(folder, encoder, kind=kind)
        assert indexed.info.kind is kind
        assert indexed.info.recall_at_10 >= 0.95
        assert index_files(folder) == indexed.opened.manifest.files
        writer.add(told_salts(20, start=200))
        writer.add([told(salt("salt-9"), "elsewhere altogether")])
        writer.remove(["salt-10", "salt-201"])
        indexed = index_catalog(folder, encoder, before=indexed)
    assert len(encoder.read) == 220  # salt-201 was gone before anyone looked
    assert indexed.info.kind is kind
    assert len(indexed.opened.blocks) == 2
    assert indexed.info.found_count == 218
    everything = found(indexed, text_of(100), 500)
    assert sorted(everything) == sorted(f"salt-{n}" for n in range(220) if n not in {10, 201})
    assert found(indexed, "elsewhere altogether", 1) == ["salt-9"]
    firsts = [found(indexed, text_of(n), 1) == [f"salt-{n}"] for n in range(220) if n not in {9, 10, 201}]
    assert np.mean(firsts) >= 0.95


@pytest.mark.usefixtures("few_are_many")
def test_an_index_is_built_when_it_is_due(tmp_path: Path) -> None:
    """By size, again when too much came after it, and again when much of it is dead; never without need."""
    folder = tmp_path / "catalogs" / "known"
    encoder = BagOfWords()
    with filled(tmp_path, *told_salts(30)) as writer:
        assert index_catalog(folder, encoder).info.kind is IndexKind.FLAT
        writer.add(told_salts(70, start=30))
        waiting = index_catalog(folder, encoder, may_rebuild=False)
        assert waiting.info.kind is IndexKind.FLAT
        assert waiting.info.missing_count == 0
        assert kind_due(waiting) is IndexKind.IVF_SQ8
        queries = property_queries(waiting.snapshot, encoder)
        assert queries.shape == (100, DIMENSIONS)
        built = rebuild(folder, waiting, queries)
        assert built.info.kind is IndexKind.IVF_SQ8
        assert kind_due(built) is None
        assert index_catalog(folder, encoder).opened.manifest == built.opened.manifest
        writer.add(told_salts(40, start=100))
        indexed = index_catalog(folder, encoder)
        assert indexed.opened.manifest.ann == built.opened.manifest.ann
        writer.add(told_salts(1, start=140))
        again = index_catalog(folder, encoder)
        assert again.opened.manifest.blocks[0].rows == 141
        writer.remove([f"salt-{n}" for n in range(110)])
        fewer = index_catalog(folder, encoder)
    assert fewer.info.kind is IndexKind.FLAT
    assert [block.rows for block in fewer.opened.manifest.blocks] == [31]
    assert sorted(found(fewer, "anything", 100)) == sorted(f"salt-{n}" for n in range(110, 141))
    assert index_files(folder) == fewer.opened.manifest.files
    assert len(encoder.read) == 141


@pytest.mark.usefixtures("few_are_many")
def test_a_kind_that_was_asked_for_stays(tmp_path: Path) -> None:
    """Until another one is asked for; small catalogs are searched exactly whatever was asked for."""
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(45)) as writer:
        assert index_catalog(folder, BagOfWords(), kind=IndexKind.HNSW).info.kind is IndexKind.FLAT
        writer.add(told_salts(155, start=45))
        assert index_catalog(folder, BagOfWords()).info.kind is IndexKind.HNSW
        assert index_catalog(folder, BagOfWords(), kind=IndexKind.FLAT).info.kind is IndexKind.FLAT
        assert index_catalog(folder, BagOfWords()).info.kind is IndexKind.FLAT


@pytest.mark.usefixtures("few_are_many")
def test_vectors_that_come_while_an_index_is_built_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are searched beside it; two who build at once build it once."""
    folder = tmp_path / "catalogs" / "known"
    encoder = BagOfWords()
    real = building.build_ann
    with filled(tmp_path, *told_salts(100)) as writer:
        waiting = index_catalog(folder, encoder, may_rebuild=False)

        def meanwhile(*arguments: object, **options: object) -> object:
            writer.add(told_salts(5, start=100))
            index_catalog(folder, encoder, may_rebuild=False)
            with pytest.raises(WriterBusyError):
                rebuild(folder, waiting)
            return real(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(rebuilding, "build_ann", meanwhile)
        built = rebuild(folder, waiting)
    assert built.info.found_count == 105
    assert found(built, text_of(104), 1) == ["salt-104"]
    assert len(encoder.read) == 105
