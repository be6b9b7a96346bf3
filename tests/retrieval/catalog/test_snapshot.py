from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crystalmesh_retrieval.catalog import snapshot as snapshots
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.filters import MaterialFilter
from crystalmesh_retrieval.catalog.segment import Segment
from crystalmesh_retrieval.catalog.snapshot import open_snapshot
from tests.retrieval.materials import diamond, filled, new_catalog, salts


def test_a_reader_keeps_what_it_saw(tmp_path: Path) -> None:
    """Materials that are replaced, removed or merged meanwhile are those of before, until it opens again."""
    with filled(tmp_path, *salts(3)) as writer:
        catalogs = Catalogs(tmp_path / "catalogs")
        before = catalogs.open("known")
        writer.remove(["salt-0"])
        for material in salts(20, start=3):
            writer.add([material])
        assert {material.id for material in before.materials()} == {"salt-0", "salt-1", "salt-2"}
        assert before.get("salt-0") is not None
        assert len(catalogs.open("known", before)) == 22


def test_opening_again_reads_only_what_is_new(tmp_path: Path) -> None:
    """Segments that are open already are not read and checked a second time."""
    with filled(tmp_path, *salts(8)) as writer:
        folder = tmp_path / "catalogs" / "known"
        first = open_snapshot(folder)
        writer.add([diamond()])
        second = open_snapshot(folder, first)
    assert second.segments[0] is first.segments[0]
    assert len(second.segments) == 2
    assert len(second) == 9


def test_a_segment_that_was_merged_away_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has read the manifest just before a merge reads the next one."""
    with filled(tmp_path, *salts(1)) as writer:
        folder = tmp_path / "catalogs" / "known"
        real = snapshots.read_manifest
        merged = False

        def then_merge(path: Path) -> snapshots.Manifest:
            nonlocal merged
            manifest = real(path)
            if not merged:
                merged = True
                writer.add(salts(1, start=1))  # makes one segment of both
            return manifest

        monkeypatch.setattr(snapshots, "read_manifest", then_merge)
        assert len(open_snapshot(folder)) == 2


def test_chunks_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables come a chunk at a time, chunks without a wanted material are not read, and none is missed."""
    from crystalmesh_retrieval.catalog import segment

    with monkeypatch.context() as patches:
        # The size is that of the file, not that of the version which reads it.
        patches.setattr(segment, "CHUNK_ROWS", 4)
        with filled(tmp_path, *salts(10), diamond()) as writer:
            snapshot = writer.snapshot
    assert [table.num_rows for table in snapshot.tables()] == [4, 4, 3]
    assert [table.num_rows for table in snapshot.tables(MaterialFilter(required_elements=[14]))] == [1]
    names = ["salt-9", "salt-0", "si", "salt-8", "salt-0"]
    places = [place for place in snapshot.locate(names) if place is not None]
    assert [material.id for material in snapshot.materials_at(places)] == names
    assert [table.column_names for table in snapshot.tables(columns=["id"])] == [["id"]] * 3


def test_readers_never_see_half_a_batch(tmp_path: Path) -> None:
    """While batches of three are added and merged, every reader sees whole batches, and more each time."""
    catalogs = new_catalog(tmp_path)
    done = threading.Event()
    problems: list[str] = []

    def read() -> None:
        seen = 0
        while not done.is_set():
            count = sum(1 for _ in catalogs.open("known").materials())
            if count % 3 or count < seen:
                problems.append(f"{count} after {seen}")
            seen = count

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        with catalogs.writer("known") as writer:
            for start in range(0, 60, 3):
                writer.add(salts(3, start=start))
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not problems
    assert len(catalogs.open("known")) == 60


def test_threads_may_share_a_snapshot(tmp_path: Path) -> None:
    """Lookups and filters from many threads at once find what one finds."""
    with filled(tmp_path, *salts(50)) as writer:
        snapshot = writer.snapshot
    names = [f"salt-{n}" for n in range(50)] * 4

    def found(name: str) -> str | None:
        material = snapshot.get(name)
        assert snapshot.count(MaterialFilter(required_elements=[11])) == 50
        return None if material is None else material.id

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(found, names)) == names


def test_numbers_that_are_not_known_are_nan(tmp_path: Path) -> None:
    """A column of values is floats throughout, whether all, some or none are known."""
    with filled(tmp_path, *salts(2)) as writer:
        segment: Segment = writer.snapshot.segments[0]
    assert segment.column("band_gap_ev").dtype == float
    assert segment.column("bulk_modulus_gpa").dtype == float
    assert (segment.column("bulk_modulus_gpa") != segment.column("bulk_modulus_gpa")).all()
