"""Crashes, kills, full disks and several at once: nothing torn is served, nothing is encoded twice."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import StorageFullError, WriterBusyError
from crystalmesh_retrieval.catalog import segment
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog_index import indexing, rebuilding
from crystalmesh_retrieval.catalog_index.indexed import open_indexed
from crystalmesh_retrieval.catalog_index.indexing import index_catalog
from crystalmesh_retrieval.vectors import tuning
from crystalmesh_retrieval.vectors.kinds import IndexKind
from tests.retrieval.catalog.test_durability import Crash, crash_at
from tests.retrieval.catalog_index.bag_of_words import BagOfWords, index_files, text_of, told_salts
from tests.retrieval.materials import filled

INFO = BagOfWords().info

INDEX = """
import sys
from pathlib import Path
from crystalmesh_retrieval.catalog_index import indexing
from tests.retrieval.catalog_index.bag_of_words import BagOfWords
indexing.COMMIT_TEXTS = 1
indexing.index_catalog(Path(sys.argv[1]), BagOfWords(), progress=lambda _, done, __: print(done, flush=True))
"""

FILL = """
import resource, sys
from pathlib import Path
from crystalmesh_common.runtime.errors import StorageFullError
from crystalmesh_retrieval.catalog_index import rebuilding
from crystalmesh_retrieval.catalog_index.indexing import index_catalog
from crystalmesh_retrieval.vectors.kinds import IndexKind
from tests.retrieval.catalog_index.bag_of_words import BagOfWords
rebuilding.FEWEST_FOR_ANN = 50
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    index_catalog(Path(sys.argv[1]), BagOfWords(), kind=IndexKind.HNSW)
except StorageFullError as error:
    print(error)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog of 100 materials, read four at a time."""
    monkeypatch.setattr(segment, "CHUNK_ROWS", 4)
    monkeypatch.setattr(rebuilding, "FEWEST_FOR_ANN", 50)
    filled(tmp_path, *told_salts(100)).close()
    return tmp_path / "catalogs" / "known"


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("batches", [1, 2, 7, 12])
def test_kill_9_loses_nothing_that_was_committed(folder: Path, batches: int) -> None:
    """Whenever it is killed, the catalog opens, and the next run encodes the rest and clears up."""
    command = [sys.executable, "-c", INDEX, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as indexing_process:
        assert indexing_process.stdout is not None
        told = [int(indexing_process.stdout.readline()) for _ in range(batches + 1)]
        indexing_process.send_signal(signal.SIGKILL)
        indexing_process.wait()
        told += [int(line) for line in indexing_process.stdout]
    found = open_indexed(folder, INFO).info.found_count
    assert found >= told[-1]
    encoder = BagOfWords()
    indexed = index_catalog(folder, encoder)
    assert len(encoder.read) == 100 - found
    assert indexed.info.found_count == 100
    assert index_files(folder) == indexed.opened.manifest.files


def test_every_step_may_be_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash at any sync, rename or delete leaves vectors that are whole, and the next run goes on."""
    monkeypatch.setattr(segment, "CHUNK_ROWS", 4)
    monkeypatch.setattr(indexing, "COMMIT_TEXTS", 4)
    monkeypatch.setattr(rebuilding, "FEWEST_FOR_ANN", 10)
    monkeypatch.setattr(tuning, "SAMPLE", 10)
    folder = tmp_path / "catalogs" / "known"
    with filled(tmp_path, *told_salts(20)) as writer:
        index_catalog(folder, BagOfWords(), kind=IndexKind.IVF_SQ8)
        writer.add(told_salts(8, start=20))
        writer.remove([f"salt-{n}" for n in range(10)])  # so that an index is due
    for step in count(1):
        place = tmp_path / f"at-{step}"
        shutil.copytree(folder, place)
        crashed = crashes(place, step)
        left = open_indexed(place, INFO).info
        assert left.found_count >= 10
        assert left.found_count + left.missing_count == 18
        encoder = BagOfWords()
        done = index_catalog(place, encoder)
        assert len(encoder.read) == left.missing_count
        assert (done.info.kind, done.info.found_count) == (IndexKind.IVF_SQ8, 18)
        assert [block.rows for block in done.opened.manifest.blocks] == [18]
        shutil.rmtree(place)
        if not crashed:
            break
    assert step > 20


def test_scraps_are_cleared_away(folder: Path) -> None:
    """Files that no manifest names are never read, and the next commit deletes them."""
    index_catalog(folder, BagOfWords())
    index = folder / "index" / "bag-of-words-0123456789ab"
    scraps = [index / "new.vectors.partial", index / f"{'0' * 24}.vectors", index / f"{'0' * 24}.faiss"]
    for scrap in scraps:
        scrap.write_bytes(b"half a file")
    assert open_indexed(folder, INFO).info.found_count == 100
    index_catalog(folder, BagOfWords(), kind=IndexKind.HNSW)
    assert not any(scrap.exists() for scrap in scraps)
    assert not (index / "building").exists()


def crashes(folder: Path, step: int) -> bool:
    """Whether the process ended at that step of indexing."""
    with pytest.MonkeyPatch.context() as patches:
        crash_at(step, patches)
        try:
            index_catalog(folder, BagOfWords())
        except Crash:
            return True
    return False


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_all_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """The message says what to do; what was there is there, no scrap is left, and it goes on afterwards."""
    index_catalog(folder, BagOfWords())
    with Catalogs(folder.parent).writer("known") as writer:
        writer.add(told_salts(20, start=100))
    before = open_indexed(folder, INFO).opened.manifest
    with monkeypatch.context() as patches:

        def sync(_descriptor: int) -> None:
            raise OSError(error, os.strerror(error))

        patches.setattr(os, "fsync", sync)
        with pytest.raises(StorageFullError, match="free some and run the same command again"):
            index_catalog(folder, BagOfWords())
    assert open_indexed(folder, INFO).opened.manifest == before
    assert not list(folder.rglob("*.partial"))
    assert index_catalog(folder, BagOfWords()).info.found_count == 120


@pytest.mark.parametrize(("limit", "found"), [(3000, 0), (12_000, 100)])
def test_a_limit_of_the_system_is_a_full_disk(folder: Path, limit: int, found: int) -> None:
    """In the middle of the vectors or of the index over them, which faiss writes: all else stays."""
    assert run(FILL, folder, limit).startswith("no space is left for ")
    assert open_indexed(folder, INFO).info.found_count == found
    indexed = index_catalog(folder, BagOfWords())
    assert (indexed.info.kind, indexed.info.found_count) == (IndexKind.HNSW, 100)
    assert index_files(folder) == indexed.opened.manifest.files


def test_readers_see_whole_answers_while_others_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While materials come and go, are encoded and indexed, every reader finds what its snapshot holds."""
    monkeypatch.setattr(tuning, "SAMPLE", 20)
    index_catalog(folder, BagOfWords(), kind=IndexKind.IVF_SQ8)
    done = threading.Event()
    problems: list[str] = []

    def read() -> None:
        indexed = None
        while not done.is_set():
            indexed = open_indexed(folder, INFO, indexed)
            (hits,) = indexed.search(BagOfWords().points(text_of(5)), 1000)
            live = [mask.copy() for mask in indexed.snapshot.masks()]
            found = [hit.location for hit in hits]
            if len(set(found)) != len(found) or len(found) != indexed.info.found_count:
                problems.append(f"{len(found)} of {indexed.info.found_count}")
            if not all(live[number][row] for number, row in found):
                problems.append("a dead row")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        with Catalogs(folder.parent).writer("known") as writer:
            for start in range(100, 160, 10):
                writer.add(told_salts(10, start=start))
                writer.remove([f"salt-{n}" for n in range(start - 100, start - 85)])
                index_catalog(folder, BagOfWords())
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not problems
    assert open_indexed(folder, INFO).info.missing_count == 0


def test_two_who_index_at_once(folder: Path) -> None:
    """One of them does it, the other is told so or finds it done; nothing is encoded twice."""
    encoders = [BagOfWords(), BagOfWords()]
    start = threading.Barrier(2)

    def index(encoder: BagOfWords) -> None:
        start.wait()
        with contextlib.suppress(WriterBusyError):
            index_catalog(folder, encoder)

    threads = [threading.Thread(target=index, args=(encoder,)) for encoder in encoders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert open_indexed(folder, INFO).info.found_count == 100
    assert sum(len(encoder.read) for encoder in encoders) == 100
