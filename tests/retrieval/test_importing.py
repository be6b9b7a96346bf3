from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import UnreadableCrystalError
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.repair import repair
from crystalmesh_retrieval.importing import KEPT_REJECTIONS, ImportReport, run_import
from crystalmesh_retrieval.sources.source import BadRow, Page, SourceUnreachableError
from tests.retrieval.materials import new_catalog, overlapping, salts

INTERRUPTED = """
import sys
from pathlib import Path
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.importing import run_import
from tests.retrieval.test_importing import Salts
def on_page(report):
    print(report.received, flush=True)
    if report.received == 100:
        sys.stdin.read()  # never to the end, however slow the killer is
with Catalogs(Path(sys.argv[1])).writer("known") as writer:
    run_import(writer, Salts(), on_page=on_page)
"""


@dataclass
class Salts:
    """Pages of two salts; a page that is in `failing` fails as often as it stands there."""

    pages_in_all: int = 60
    failing: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    key = "salts"
    attribution = "the tests"

    def pages(self, cursor: str) -> Iterator[Page]:
        for number in range(int(cursor or 0), self.pages_in_all):
            self.asked.append(number)
            if number in self.failing:
                self.failing.remove(number)
                raise SourceUnreachableError("gone")
            yield Page(salts(2, start=2 * number), str(number + 1), 2 * self.pages_in_all)


def test_an_import_brings_everything_and_says_so(tmp_path: Path) -> None:
    """Pages are reported as each is safe; the attribution is kept; importing again changes nothing."""
    reached: list[int] = []
    source = Salts(pages_in_all=3)
    with new_catalog(tmp_path).writer("known") as writer:

        def on_page(report: ImportReport) -> None:
            reached.append(report.received)
            assert len(Catalogs(tmp_path / "catalogs").open("known")) == report.received

        report = run_import(writer, source, on_page=on_page)
        assert reached == [2, 4, 6]
        assert (report.received, report.added, report.total_rows) == (6, 6, 6)
        assert writer.snapshot.manifest.attributions == ("the tests",)
        assert writer.snapshot.manifest.imports["salts"].is_done
        version = writer.snapshot.manifest.content_version
        assert run_import(writer, source).unchanged == 6
        assert writer.snapshot.manifest.content_version == version


def test_an_import_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Pages that are safe are not asked for again, unless everything is to be."""
    source = Salts(pages_in_all=4, failing=[2])
    with new_catalog(tmp_path).writer("known") as writer:
        with pytest.raises(SourceUnreachableError):
            run_import(writer, source)
        assert len(writer.snapshot) == 4
        assert not writer.snapshot.manifest.imports["salts"].is_done
        source.asked.clear()
        report = run_import(writer, source)
        assert source.asked == [2, 3]
        assert (report.resumed_after, report.received, report.added) == (4, 4, 4)
        source.failing.append(1)
        with pytest.raises(SourceUnreachableError):
            run_import(writer, source)
        source.asked.clear()
        assert run_import(writer, source, restart=True).unchanged == 8
        assert source.asked == [0, 1, 2, 3]


def test_a_killed_import_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Kill -9 in the middle: all that was reported is there, and the next run asks for what comes behind."""
    catalogs = new_catalog(tmp_path)
    command = [sys.executable, "-c", INTERRUPTED, str(catalogs.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as importing:
        assert importing.stdout is not None
        reported = int(importing.stdout.readline())
        importing.send_signal(signal.SIGKILL)
        importing.wait()
    with catalogs.writer("known") as writer:
        safe = len(writer.snapshot)
        assert safe >= reported
        source = Salts()
        report = run_import(writer, source)
        assert source.asked[0] == safe // 2
        assert (report.resumed_after, report.added, report.unchanged) == (safe, 120 - safe, 0)
        assert len(writer.snapshot) == 120


def test_bad_rows_are_counted_and_left_out(tmp_path: Path) -> None:
    """Those that could not be read and those that are no crystals, by reason, with the first as examples."""

    class Mixed(Salts):
        def pages(self, cursor: str) -> Iterator[Page]:
            yield Page(
                [*salts(1), BadRow("row 2", UnreadableCrystalError("it has no id")), overlapping("flat")], "3"
            )
            yield Page([BadRow("row", UnreadableCrystalError("no"))] * KEPT_REJECTIONS, "4")

    with new_catalog(tmp_path).writer("known") as writer:
        report = run_import(writer, Mixed())
    assert (report.received, report.added, report.rejected) == (103, 1, 102)
    assert report.reasons == {"UNREADABLE_CRYSTAL": 101, "OVERLAPPING_ATOMS": 1}
    assert [row.name for row in report.examples[:2]] == ["row 2", "flat"]
    assert len(report.examples) == KEPT_REJECTIONS


def test_after_a_repair_imports_start_over(tmp_path: Path) -> None:
    """What was lost comes back, though the import had gone past it."""
    source = Salts(pages_in_all=4, failing=[3])
    catalogs = new_catalog(tmp_path)
    with catalogs.writer("known") as writer, pytest.raises(SourceUnreachableError):
        run_import(writer, source)
    segment = catalogs.manifest("known").segments[0].file
    (catalogs.folder("known") / "segments" / segment).unlink()
    repair(catalogs.folder("known"))
    with catalogs.writer("known") as writer:
        run_import(writer, source)
        assert len(writer.snapshot) == 8
