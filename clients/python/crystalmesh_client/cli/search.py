"""`crystalmesh search TEXT…` and `crystalmesh search --like FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.filters import (
    CatalogOption,
    ChemicalSystemOption,
    ElementsOption,
    FormulaOption,
    OnlyElementsOption,
    PropertyOption,
    SpaceGroupOption,
    WithoutElementsOption,
    filter_of,
)
from crystalmesh_client.cli.hit_folder import HitFolder
from crystalmesh_client.cli.material_views import material_fields, material_table
from crystalmesh_client.cli.reports import (
    AddressOption,
    JsonOption,
    Report,
    TimeoutOption,
    read_files,
    usage_error,
)

if TYPE_CHECKING:
    from rich.table import Table

    from crystalmesh_client.queries import Query
    from crystalmesh_client.results import Failed
    from crystalmesh_client.searches import SearchHits

TextsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="TEXT", help="Descriptions in words, each in quotes.")
]
LikeOption = Annotated[
    list[Path] | None,
    typer.Option("--like", help="Crystals in any file that `evaluate` reads; may be repeated."),
]


def search(  # noqa: PLR0917 -- typer makes options of them
    texts: TextsArgument = None,
    like: LikeOption = None,
    catalog: CatalogOption = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most materials for each query.")] = 10,
    elements: ElementsOption = "",
    only_elements: OnlyElementsOption = "",
    without_elements: WithoutElementsOption = "",
    chemical_system: ChemicalSystemOption = "",
    formula: FormulaOption = "",
    space_group: SpaceGroupOption = None,
    bounds: PropertyOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for a CIF of each hit, hits.csv and hits.jsonl."),
    ] = None,
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """The known materials nearest to each TEXT and to the crystals of --like.

    Exit code 0: all queries have an answer, which may be empty; 3: some have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    queries, unreadable = read_queries(texts or (), like or ())
    material_filter = filter_of(
        elements=elements,
        only_elements=only_elements,
        without_elements=without_elements,
        chemical_system=chemical_system,
        formula=formula,
        space_group=space_group,
        bounds=bounds,
    )
    folder = None if out is None else HitFolder(out)
    report = SearchReport(SearchColumns(), as_json, "searching")
    with Mesh(address) as mesh:
        outcomes = mesh.retrieval.search_many(
            queries,
            catalog=catalog,
            limit=limit,
            filter=material_filter,
            view="basic" if folder is None else "full",
            timeout=timeout,
        )
        try:
            report.run(unreadable, len(queries), outcomes, None if folder is None else folder.take)
        finally:
            try:
                if not as_json:
                    report.tell_origin()
            finally:  # also when nobody reads the table to its end
                if folder is not None:
                    folder.write_index()


def read_queries(texts: Sequence[str], like: Sequence[Path]) -> tuple[list[Query], list[Failed]]:
    """The queries, named after their words or their crystals; and the files that hold none."""
    from crystalmesh_client.queries import Query  # noqa: PLC0415

    if not texts and not like:
        usage_error("give a description in words, or crystals with --like")
    crystals, unreadable = read_files(like)
    taken = {crystal.id for crystal in crystals}
    queries = []
    for position, text in enumerate(texts):
        name = _short(text)
        if not name or name in taken:
            name = f"{name}#{position}"
        taken.add(name)
        queries.append(Query(text, id=name))
    return [*queries, *(Query(crystal, id=crystal.id) for crystal in crystals)], unreadable


def _short(text: str) -> str:
    """The words of a query as a name: on one line, not too long, of characters that can travel."""
    words = " ".join(text.encode(errors="replace").decode().split())
    return words if len(words) <= 40 else f"{words[:39]}…"


class SearchReport(Report["SearchHits"]):
    """The hits of all queries in one table."""

    def table(self) -> Table:
        """A row a hit."""
        several = len(self.results) > 1
        rows = [
            ([found.id] if several else [], hit.material, [f"{hit.similarity:.3f}"])
            for found in self.results
            for hit in found
        ]
        return material_table(rows, ["query"] if several else [], ["similarity"])

    def tell_origin(self) -> None:
        """Say what was searched, without which a similarity means nothing, and what found nothing."""
        for found in self.results:
            if not found.hits:
                typer.echo(f"{found.id}: no material of {found.catalog} passes the filter")
        for catalog, encoder in dict.fromkeys((found.catalog, found.encoder) for found in self.results):
            typer.echo(f"\nfrom {catalog}, by {encoder}")


class SearchColumns:
    """What is told to programs of what a query found; people get a row a hit."""

    names = ("query", "hits")

    def cells(self, result: SearchHits) -> Iterator[str]:
        yield result.id
        yield str(len(result))

    def fields(self, result: SearchHits) -> dict[str, Any]:
        sought = result.query.sought
        return {
            "id": result.id,
            "text": sought if isinstance(sought, str) else None,
            "hits": [{"similarity": hit.similarity, **material_fields(hit.material)} for hit in result],
            "catalog": result.catalog,
            "catalog_version": result.catalog_version,
            "encoder": result.encoder,
        }
