"""`crystalmesh catalog add`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli import exits
from crystalmesh_client.cli.reports import JsonOption, usage_error
from crystalmesh_retrieval.cli.options import FolderOption, NameArgument, catalogs_in, one_line_for_disks

if TYPE_CHECKING:
    from crystalmesh_retrieval.catalog.catalogs import Catalogs
    from crystalmesh_retrieval.catalog.material import Property, SourceKind
    from crystalmesh_retrieval.cli.progress import RowProgress
    from crystalmesh_retrieval.importing import ImportReport

_SHOWN_REJECTIONS = 10


def add(
    name: NameArgument,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Parquet, CSV, MatBench JSON, CIF or POSCAR files, folders of the last two, optimade:URL, "
            "nomad, materials-project (key in MP_API_KEY), or a public data set such as matbench_mp_gap.",
        ),
    ],
    *,
    description: Annotated[str, typer.Option(help="What the catalog holds.")] = "",
    values: Annotated[
        str, typer.Option(help="Kind of values that do not say: dft, experiment, potential, prediction.")
    ] = "unspecified",
    values_from: Annotated[str, typer.Option(help="The database, method or model behind the values.")] = "",
    database: Annotated[str, typer.Option(help="The database that the materials are from.")] = "",
    license: Annotated[str, typer.Option(help="Their licence, as an SPDX expression.")] = "",  # noqa: A002
    attribution: Annotated[str, typer.Option(help="Whom the licence asks to name.")] = "",
    filter: Annotated[  # noqa: A002 -- the name of the option
        str,
        typer.Option(
            help="Take a part: in OPTIMADE's language, elements Li-O (nomad), or a chemical system Li-Fe-O "
            "(materials-project)."
        ),
    ] = "",
    field: Annotated[
        list[str] | None, typer.Option(help="Field of an OPTIMADE provider: band_gap_ev=_oqmd_band_gap.")
    ] = None,
    page_size: Annotated[int | None, typer.Option(min=1, help="Rows to ask a database for at once.")] = None,
    restart: Annotated[bool, typer.Option(help="Start over instead of going on where it stopped.")] = False,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import materials. What is there already changes nothing; an import that was stopped goes on."""
    from crystalmesh_retrieval.catalog.material import ValueSource  # noqa: PLC0415 -- Arrow is slow to import
    from crystalmesh_retrieval.catalog.places import CatalogPlaces  # noqa: PLC0415
    from crystalmesh_retrieval.cli.progress import RowProgress  # noqa: PLC0415
    from crystalmesh_retrieval.importing import run_import  # noqa: PLC0415
    from crystalmesh_retrieval.sources.choice import Wishes, source_named  # noqa: PLC0415
    from crystalmesh_retrieval.sources.source import Provenance  # noqa: PLC0415
    from crystalmesh_retrieval.sources.web import Web  # noqa: PLC0415

    provenance = Provenance(ValueSource(_kind(values), values_from), database, license, attribution)
    wishes = Wishes(provenance, filter, _fields_asked(field or []), page_size)
    catalogs = catalogs_in(folder)
    reports: dict[str, ImportReport] = {}
    with one_line_for_disks(), _no_empty_catalog(catalogs, name):
        # Before the catalog is made, so that a mistyped source leaves none behind.
        chosen = {
            source: source_named(source, wishes, downloads=catalogs.root.parent / "downloads", web=Web())
            for source in sources
        }
        places = CatalogPlaces.of(folder)
        if name in places.names():
            places.make_own(name)  # one that came with the package is copied before it changes
        catalogs.create(name, description)
        with catalogs.writer(name) as writer:
            if description:
                writer.describe(description)
            for label, source in chosen.items():
                with RowProgress(f"importing {label}", hidden=as_json) as bar:
                    show = partial(_show, bar)
                    reports[label] = run_import(writer, source, restart=restart, on_page=show)
                if as_json:
                    typer.echo(json.dumps(_fields_of(label, reports[label])))
    if not as_json:
        _print_reports(reports)
    if any(r.rejected and r.rejected == r.received for r in reports.values()):
        raise typer.Exit(exits.BAD_INPUT)


@contextmanager
def _no_empty_catalog(catalogs: Catalogs, name: str) -> Iterator[None]:
    """A new catalog into which nothing came, for an address that is wrong or out of reach, is not kept."""
    from crystalmesh_common.runtime.errors import CrystalMeshError  # noqa: PLC0415

    existed = name in catalogs.names()
    try:
        yield
    except CrystalMeshError:
        if not existed and name in catalogs.names() and not catalogs.manifest(name).imports:
            catalogs.delete(name)
        raise


def _kind(name: str) -> SourceKind:
    from crystalmesh_retrieval.catalog.material import SourceKind  # noqa: PLC0415

    try:
        return SourceKind(name)
    except ValueError:
        usage_error(f"values come from {', '.join(SourceKind)}, not from {name!r}")


def _fields_asked(texts: Sequence[str]) -> Mapping[Property, str]:
    from crystalmesh_retrieval.catalog.material import LABELS, Property  # noqa: PLC0415

    fields = dict(text.partition("=")[::2] for text in texts)
    for name, field in fields.items():
        if name not in LABELS or not field:
            usage_error(f"{name}={field} is no PROPERTY=FIELD with one of {', '.join(LABELS)}")
    return {Property(name): field for name, field in fields.items()}


def _show(bar: RowProgress, report: ImportReport) -> None:
    bar.reached(report.resumed_after + report.received, report.total_rows)


def _fields_of(source: str, report: ImportReport) -> dict[str, Any]:
    counts = ("resumed_after", "received", "added", "replaced", "unchanged", "rejected")
    return {
        "source": source,
        **{name: getattr(report, name) for name in counts},
        "reasons": dict(report.reasons),
        "rejections": [
            {"id": row.name, "reason": row.error.reason, "message": str(row.error)} for row in report.examples
        ],
    }


def _print_reports(reports: Mapping[str, ImportReport]) -> None:
    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415

    table = plain_table("source", "rows", "added", "replaced", "unchanged", "rejected", "")
    for source, report in reports.items():
        rows = (report.received, report.added, report.replaced, report.unchanged, report.rejected)
        note = f"went on after {report.resumed_after:,} rows" if report.resumed_after else ""
        table.add_row(source, *(f"{count:,}" for count in rows), note)
    standard_output().print(table, markup=False, highlight=False)
    for report in reports.values():
        for row in report.examples[:_SHOWN_REJECTIONS]:
            typer.echo(f"{row.name}: {row.error.reason}: {row.error}")
        if report.rejected > _SHOWN_REJECTIONS:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in report.reasons.most_common())
            typer.echo(f"and others; rejected in all: {counts}")
