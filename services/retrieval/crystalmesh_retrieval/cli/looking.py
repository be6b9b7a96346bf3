"""`crystalmesh catalog list` and `show`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from crystalmesh_client.cli.reports import JsonOption
from crystalmesh_retrieval.cli.options import FolderOption, NameArgument, catalogs_in, one_line_for_disks


def list_catalogs(folder: FolderOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """The catalogs that there are."""
    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import DataCorruptError  # noqa: PLC0415

    catalogs = catalogs_in(folder)
    table = plain_table("catalog", "materials", "MB", "version", "changed", "description")
    for name in catalogs.names():
        try:
            manifest = catalogs.manifest(name)
        except DataCorruptError as error:
            typer.echo(f"crystalmesh: {error}", err=True)
            continue
        changed = manifest.update_time.isoformat(timespec="seconds")
        if as_json:
            fields = {
                "name": name,
                "description": manifest.description,
                "version": manifest.content_version,
                "material_count": manifest.material_count,
                "size_bytes": manifest.size_bytes,
                "update_time": changed,
            }
            typer.echo(json.dumps(fields))
            continue
        table.add_row(
            name,
            f"{manifest.material_count:,}",
            f"{manifest.size_bytes / 1e6:.1f}",
            manifest.content_version[:12],
            changed[:16].replace("T", " "),
            manifest.description,
        )
    if not as_json:
        standard_output().print(table, markup=False, highlight=False)


def show(
    name: NameArgument,
    material_id: Annotated[str, typer.Argument(metavar="ID", help="Show this material.")] = "",
    folder: FolderOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """A catalog, or one material of it. Checks every file against its checksum."""
    from crystalmesh_client.cli.material_views import outline  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import ResourceNotFoundError  # noqa: PLC0415
    from crystalmesh_retrieval.catalog_index.facts import index_facts  # noqa: PLC0415
    from crystalmesh_retrieval.cli.details import catalog_fields, material_fields  # noqa: PLC0415

    catalogs = catalogs_in(folder)
    with one_line_for_disks():
        snapshot = catalogs.open(name)
        fields = catalog_fields(snapshot) | {"indexes": dict(index_facts(catalogs.folder(name)))}
    if material_id:
        material = snapshot.get(material_id)
        if material is None:
            raise ResourceNotFoundError(f"{name} has no material {material_id[:80]}", resource="material")
        fields = material_fields(material)
    if as_json:
        typer.echo(json.dumps(fields))
        return
    for line in outline(fields):
        typer.echo(line)
