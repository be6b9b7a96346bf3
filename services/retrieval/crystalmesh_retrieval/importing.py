"""Brings the rows of a source into a catalog, a page at a time, and goes on where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.catalog.manifest import ImportEntry
from crystalmesh_retrieval.catalog.material import MaterialInput
from crystalmesh_retrieval.catalog.writer import CatalogWriter
from crystalmesh_retrieval.sources.source import BadRow, Page, Source

KEPT_REJECTIONS = 100


@dataclass
class ImportReport:
    """What has become of the rows of a source in this run."""

    resumed_after: int = 0  # rows that runs before had looked at
    total_rows: int | None = None  # of the source, where it says so
    received: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[BadRow] = field(default_factory=list)  # the first KEPT_REJECTIONS

    def reject(self, name: str, error: CrystalMeshError) -> None:
        self.rejected += 1
        self.reasons[error.reason] += 1
        if len(self.examples) < KEPT_REJECTIONS:
            self.examples.append(BadRow(name, error))


def run_import(
    writer: CatalogWriter,
    source: Source,
    *,
    restart: bool = False,
    on_page: Callable[[ImportReport], None] = lambda _: None,
) -> ImportReport:
    """Import all of a source; a page and the place behind it are committed in one step.

    So an import that ends in the middle, by an error or kill -9, goes on there when it is run again, unless
    `restart`. One that has come to its end starts over, and changes what has changed. Bad rows are counted
    and left out. Raises what the source and the writer raise; what `on_page` has been told of is safe.
    """
    state = ImportEntry(update_time=datetime.now(UTC))
    before = writer.snapshot.manifest.imports.get(source.key)
    if before is not None and before.cursor and not restart:
        state = before
    report = ImportReport(resumed_after=state.received)
    for page in source.pages(state.cursor):
        state = _moved(state, page.cursor, len(page.rows))
        _add(writer, source, page, state, report)
        on_page(report)
    done = _moved(state, "", 0).model_copy(update={"is_done": True})
    writer.add([], imports={source.key: done}, attributions=[source.attribution])
    return report


def _moved(state: ImportEntry, cursor: str, rows: int) -> ImportEntry:
    received = state.received + rows
    return state.model_copy(
        update={"cursor": cursor, "received": received, "is_done": False, "update_time": datetime.now(UTC)}
    )


def _add(writer: CatalogWriter, source: Source, page: Page, state: ImportEntry, report: ImportReport) -> None:
    materials = [row for row in page.rows if isinstance(row, MaterialInput)]
    changes = writer.add(materials, imports={source.key: state}, attributions=[source.attribution])
    report.total_rows = page.total_rows
    report.received += len(page.rows)
    report.added += changes.added
    report.replaced += changes.replaced
    report.unchanged += changes.unchanged
    for row in page.rows:
        if isinstance(row, BadRow):
            report.reject(row.name, row.error)
    for rejection in changes.rejections:
        report.reject(rejection.material_id, rejection.error)
