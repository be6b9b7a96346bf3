from __future__ import annotations

import json
from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import DataCorruptError, ResourceNotFoundError
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.repair import Repaired, repair
from tests.retrieval.materials import filled, salts


@pytest.fixture
def catalogs(tmp_path: Path) -> Catalogs:
    """`known` with salt-0 to salt-7 in one segment and salt-8 in another."""
    with filled(tmp_path, *salts(8)) as writer:
        writer.add(salts(1, start=8))
        assert [segment.rows for segment in writer.snapshot.manifest.segments] == [8, 1]
    return Catalogs(tmp_path / "catalogs")


def large_segment(catalogs: Catalogs) -> Path:
    entry = catalogs.manifest("known").segments[0]
    return catalogs.folder("known") / "segments" / entry.file


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(tear, "bytes instead of"), (flip, "does not match its checksum"), (Path.unlink, "is gone")],
)
def test_a_damaged_segment_is_not_served(catalogs: Catalogs, damage: object, problem: str) -> None:
    """Torn, with one flipped bit, or gone: neither readers nor writers open it, and the message says why."""
    assert callable(damage)
    damage(large_segment(catalogs))
    for opening in (catalogs.open, catalogs.writer):
        with pytest.raises(DataCorruptError, match=problem) as raised:
            opening("known")
        assert "crystalmesh catalog repair known" in str(raised.value)
        assert str(large_segment(catalogs)) in str(raised.value)


@pytest.mark.parametrize("damage", [tear, flip, Path.unlink])
def test_repair_sets_the_damaged_aside(catalogs: Catalogs, damage: object) -> None:
    """The rest is served again, imports start over, and adding again brings back exactly what there was."""
    version = catalogs.manifest("known").content_version
    path = large_segment(catalogs)
    assert callable(damage)
    damage(path)
    kept = path.exists()
    assert repair(catalogs.folder("known")) == Repaired(segments=1, materials=8)
    assert [material.id for material in catalogs.open("known").materials()] == ["salt-8"]
    assert (catalogs.folder("known") / "damaged" / path.name).exists() == kept
    with catalogs.writer("known") as writer:
        assert writer.add(salts(9)).added == 8
        assert writer.snapshot.manifest.content_version == version


def test_repair_of_a_whole_catalog_changes_nothing(catalogs: Catalogs) -> None:
    """It says that nothing was set aside."""
    before = catalogs.manifest("known")
    assert repair(catalogs.folder("known")) == Repaired(0, 0)
    assert catalogs.manifest("known") == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', '{"name": "known", "extra": 1}'])
def test_a_damaged_manifest_is_told(catalogs: Catalogs, content: str) -> None:
    """Whatever is in it, the message names the file and says what to do."""
    path = catalogs.folder("known") / "manifest.json"
    path.write_text(content)
    with pytest.raises(DataCorruptError, match=r"manifest\.json is no manifest .* restore it from a copy"):
        catalogs.open("known")


@pytest.mark.parametrize("rows", ["9", "-1", "3, 3", "4, 2"])
def test_dead_rows_are_rows_of_the_segment(catalogs: Catalogs, rows: str) -> None:
    """A manifest that marks others is damaged."""
    with catalogs.writer("known") as writer:
        writer.remove(["salt-2", "salt-4"])
    path = catalogs.folder("known") / "manifest.json"
    entry = catalogs.manifest("known").segments[0]
    spoilt = entry.model_dump(mode="json") | {"dead_rows": [int(row) for row in rows.split(",")]}
    fields = json.loads(path.read_text())
    fields["segments"][0] = spoilt
    path.write_text(json.dumps(fields))
    with pytest.raises(DataCorruptError, match="dead rows must ascend"):
        catalogs.open("known")


def test_a_manifest_cannot_name_files_elsewhere(catalogs: Catalogs) -> None:
    """The name of a segment is a checksum, never a path."""
    path = catalogs.folder("known") / "manifest.json"
    file = catalogs.manifest("known").segments[0].file
    path.write_text(path.read_text().replace(file, f"../{file}"))
    with pytest.raises(DataCorruptError, match="segments"):
        catalogs.open("known")


def test_scraps_of_a_killed_writer_are_cleared_away(catalogs: Catalogs) -> None:
    """Files that no manifest names are never read, and the next writer deletes them."""
    segments = catalogs.folder("known") / "segments"
    scraps = [segments / "0123456789abcdef01234567.parquet", segments / "x.parquet.partial"]
    for scrap in scraps:
        scrap.write_bytes(b"half a file")
    assert len(catalogs.open("known")) == 9
    with catalogs.writer("known"):
        assert not any(scrap.exists() for scrap in scraps)


def test_a_catalog_that_is_not_there(catalogs: Catalogs) -> None:
    """The message lists those that are."""
    with pytest.raises(ResourceNotFoundError, match="no catalog unknown; there is known"):
        catalogs.open("unknown")
