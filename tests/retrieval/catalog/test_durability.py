"""Crashes, kills and full disks: nothing acknowledged is lost, nothing torn is served."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest

from crystalmesh_common.runtime.errors import StorageFullError
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.snapshot import Snapshot
from tests.retrieval.materials import new_catalog, salts

INGEST = """
import sys
from pathlib import Path
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from tests.retrieval.materials import salts
with Catalogs(Path(sys.argv[1])).writer("known") as writer:
    for start in range(0, 100_000, 3):
        writer.add(salts(3, start=start))
        print(start + 3, flush=True)
"""

FILL = """
import resource, sys
from pathlib import Path
from crystalmesh_common.runtime.errors import StorageFullError
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from tests.retrieval.materials import salts
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
with Catalogs(Path(sys.argv[1])).writer("known") as writer:
    writer.add(salts(2))
    print(len(writer.snapshot), flush=True)
    try:
        writer.add(salts(2000))
    except StorageFullError as error:
        print(error)
"""


class Crash(BaseException):
    """The process ends here."""


def ids(snapshot: Snapshot) -> set[str]:
    return {material.id for material in snapshot.materials()}


@pytest.mark.parametrize("acknowledged", [1, 2, 5, 9])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    """Whenever it is killed, the catalog opens, has every material it had told of, and takes the rest."""
    catalogs = new_catalog(tmp_path)
    command = [sys.executable, "-c", INGEST, str(catalogs.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ingestion:
        assert ingestion.stdout is not None
        told = [int(ingestion.stdout.readline()) for _ in range(acknowledged)]
        ingestion.send_signal(signal.SIGKILL)
        ingestion.wait()
        told += [int(line) for line in ingestion.stdout]
    found = ids(catalogs.open("known"))
    assert found >= {material.id for material in salts(told[-1])}
    assert len(found) % 3 == 0  # whole batches, of which it may not have told the last
    with catalogs.writer("known") as writer:
        assert writer.add(salts(len(found) + 2)).unchanged == len(found)
        named = {segment.file for segment in writer.snapshot.manifest.segments}
    assert {path.name for path in (catalogs.folder("known") / "segments").iterdir()} == named


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process at the `step`-th sync, rename or delete from here."""
    steps = count(1)

    def or_crash(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if next(steps) == step:
                raise Crash
            return real(*arguments, **options)

        return wrapped

    monkeypatch.setattr(os, "fsync", or_crash(os.fsync))
    monkeypatch.setattr(Path, "replace", or_crash(Path.replace))
    monkeypatch.setattr(Path, "unlink", or_crash(Path.unlink))


def crashes(catalogs: Catalogs, step: int) -> bool:
    """Remove salt-0 and add salt-2, in two calls; whether the process ended at the step."""
    with pytest.MonkeyPatch.context() as patches, catalogs.writer("known") as writer:
        crash_at(step, patches)
        try:
            writer.remove(["salt-0"])
            writer.add(salts(1, start=2))
        except Crash:
            return True
    return False


def test_every_step_may_be_the_last(tmp_path: Path) -> None:
    """A crash at any sync, rename or delete leaves the catalog as it was before a call or after it."""
    before, between, after = {"salt-0", "salt-1"}, {"salt-1"}, {"salt-1", "salt-2"}
    seen = []
    for step in count(1):
        catalogs = new_catalog(tmp_path / str(step))
        with catalogs.writer("known") as writer:
            writer.add(salts(2))
        crashed = crashes(catalogs, step)
        seen.append(ids(catalogs.open("known")))
        with catalogs.writer("known") as writer:
            writer.remove(["salt-0"])
            writer.add(salts(2, start=1))
            assert ids(writer.snapshot) == after
            named = {segment.file for segment in writer.snapshot.manifest.segments}
        assert {path.name for path in (catalogs.folder("known") / "segments").iterdir()} == named
        if not crashed:
            break
    # In this order, and each of them for some step.
    assert [state for state, _ in groupby(seen)] == [before, between, after]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """The message says what to do; what was there is there, no scrap is left, and adding works again."""
    catalogs = new_catalog(tmp_path)
    with catalogs.writer("known") as writer:
        writer.add(salts(3))
        before = writer.snapshot.manifest
        with monkeypatch.context() as patches:
            patches.setattr(os, "fsync", _full(error))
            with pytest.raises(StorageFullError, match="free some and run the same command again"):
                writer.add(salts(3, start=3))
        assert catalogs.open("known").manifest == before
        assert not list(tmp_path.rglob("*.partial"))
        writer.add(salts(3, start=3))
        assert len(writer.snapshot) == 6


def _full(error: int) -> Callable[[int], None]:
    def sync(_descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    return sync


def test_a_disk_too_full_to_merge_keeps_what_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tidying up may fail; the call was answered by then, and the segments stay as they are."""
    from crystalmesh_retrieval.catalog import writer as writing

    with new_catalog(tmp_path).writer("known") as writer:
        writer.add(salts(2))
        real, written = writing.write_segment, 0

        def only_one(*arguments: Any) -> Any:
            nonlocal written
            written += 1
            if written > 1:
                raise StorageFullError("full")
            return real(*arguments)

        monkeypatch.setattr(writing, "write_segment", only_one)
        assert writer.add(salts(2, start=2)).added == 2
        assert written == 2
        assert len(writer.snapshot) == 4
        assert len(writer.snapshot.manifest.segments) == 2


def test_a_limit_of_the_system_is_a_full_disk(tmp_path: Path) -> None:
    """The kernel refuses in the middle of a file: the first batch stays, the second is not there."""
    catalogs = new_catalog(tmp_path)
    command = [sys.executable, "-c", FILL, str(catalogs.root), "60000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    first, message = done.stdout.splitlines()
    assert first == "2"
    assert message.startswith("no space is left for ")
    assert ids(catalogs.open("known")) == {"salt-0", "salt-1"}


def test_an_unwritable_home_says_so(tmp_path: Path) -> None:
    """A file where a folder should be is told with its name."""
    (tmp_path / "catalogs").write_text("")
    with pytest.raises(OSError, match="catalogs"):
        Catalogs(tmp_path / "catalogs").create("known")
