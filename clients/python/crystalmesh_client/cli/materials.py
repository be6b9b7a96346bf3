"""`crystalmesh materials` and `crystalmesh materials ID…`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
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
from crystalmesh_client.cli.material_views import material_fields, material_table, outline
from crystalmesh_client.cli.outputs import OutputFolder
from crystalmesh_client.cli.reports import AddressOption, JsonOption, Report

if TYPE_CHECKING:
    from rich.table import Table

    from crystalmesh_client.conditions import MaterialFilter
    from crystalmesh_client.materials import Material
    from crystalmesh_client.mesh import Mesh
    from crystalmesh_client.results import Failed


def materials(  # noqa: PLR0917 -- typer makes options of them
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Tell all about these.")] = None,
    catalog: CatalogOption = "",
    limit: Annotated[int, typer.Option(min=1, help="Most materials to list.")] = 100,
    elements: ElementsOption = "",
    only_elements: OnlyElementsOption = "",
    without_elements: WithoutElementsOption = "",
    chemical_system: ChemicalSystemOption = "",
    formula: FormulaOption = "",
    space_group: SpaceGroupOption = None,
    bounds: PropertyOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for a CIF of each.")] = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """The materials of a catalog that pass the filters, or all about those with these IDs."""
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    material_filter = filter_of(
        elements=elements,
        only_elements=only_elements,
        without_elements=without_elements,
        chemical_system=chemical_system,
        formula=formula,
        space_group=space_group,
        bounds=bounds,
    )
    folder = None if out is None else OutputFolder(out)
    report = MaterialReport(MaterialColumns(), as_json, "reading")

    def write(material: Material) -> None:
        if folder is not None and material.crystal is not None:
            folder.write_crystal(material.crystal)

    with Mesh(address) as mesh:
        if ids:
            report.whole = True
            report.run((), len(ids), _named(mesh, ids, catalog), write)
        else:
            listed = _listed(mesh, catalog, material_filter, limit, whole=folder is not None)
            report.run((), limit, listed, write)


def _named(mesh: Mesh, ids: Sequence[str], catalog: str) -> Iterator[Material | Failed]:
    from crystalmesh_client.results import Failed  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import InvalidRequestError, ResourceNotFoundError  # noqa: PLC0415

    for material_id in ids:
        try:
            yield mesh.retrieval.material(material_id, catalog=catalog)
        except (InvalidRequestError, ResourceNotFoundError) as error:
            if error.details.get("resource") == "catalog":
                raise
            yield Failed(material_id, error)


def _listed(
    mesh: Mesh, catalog: str, material_filter: MaterialFilter | None, limit: int, *, whole: bool
) -> Iterator[Material]:
    found = mesh.retrieval.materials(
        catalog=catalog,
        filter=material_filter,
        view="full" if whole else "basic",
        page_size=min(limit, 1000),
    )
    return islice(found, limit)


class MaterialReport(Report["Material"]):
    """Materials in a table; whole ones a line for each of their fields."""

    whole = False

    def table(self) -> Table | str:
        """A row a material, or all of each."""
        if not self.whole:
            return material_table([((), material, ()) for material in self.results])
        return "\n\n".join("\n".join(outline(material_fields(each))) for each in self.results)


class MaterialColumns:
    """What is told to programs of a material; people get what it has."""

    names = ("material", "formula")

    def cells(self, result: Material) -> Iterator[str]:
        yield result.id
        yield result.formula

    def fields(self, result: Material) -> dict[str, Any]:
        return material_fields(result)
