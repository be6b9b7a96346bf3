"""`crystalmesh catalogs`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.reports import AddressOption, JsonOption

if TYPE_CHECKING:
    from crystalmesh_client.catalogs import Catalog


def catalogs(
    name: Annotated[str, typer.Argument(help="Tell all about this one.")] = "",
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """The catalogs that the mesh searches; `crystalmesh catalog` is for filling them, without a mesh."""
    from crystalmesh_client.cli.material_views import outline  # noqa: PLC0415
    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    with Mesh(address) as mesh:
        known = [mesh.retrieval.catalog(name)] if name else mesh.retrieval.catalogs()
    if as_json:
        for catalog in known:
            typer.echo(json.dumps(_fields(catalog)))
        return
    if name:
        for line in outline(_fields(known[0])):
            typer.echo(line)
        return
    table = plain_table("catalog", "materials", "MB", "elements", "index", "default", "description")
    for catalog in known:
        table.add_row(
            catalog.name,
            f"{catalog.material_count:,}",
            f"{catalog.size_bytes / 1e6:.1f}",
            str(len(catalog.atomic_numbers)),
            "" if catalog.index is None else f"{catalog.index.kind}, {catalog.index.encoder}",
            "yes" if catalog.is_default else "",
            catalog.description,
        )
    standard_output().print(table, markup=False, highlight=False)


def _fields(catalog: Catalog) -> dict[str, Any]:
    return {
        "name": catalog.name,
        "description": catalog.description,
        "version": catalog.version,
        "is_default": catalog.is_default,
        "material_count": catalog.material_count,
        "size_bytes": catalog.size_bytes,
        "elements": catalog.elements,
        "properties": dict(catalog.properties),
        "attributions": list(catalog.attributions),
        "index": None if catalog.index is None else vars(catalog.index),
        "create_time": None if catalog.created is None else catalog.created.isoformat(timespec="seconds"),
        "update_time": None if catalog.updated is None else catalog.updated.isoformat(timespec="seconds"),
    }
