"""`crystalmesh catalog remove` and `repair`."""

from __future__ import annotations

from typing import Annotated

import typer

from crystalmesh_retrieval.cli.options import FolderOption, NameArgument, catalogs_in, one_line_for_disks


def remove(
    name: NameArgument,
    material_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]…", help="Materials to take out. None: the whole catalog."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002
    folder: FolderOption = None,
) -> None:
    """Take materials out of a catalog, or delete it."""
    catalogs = catalogs_in(folder)
    with one_line_for_disks():
        if material_ids:
            with catalogs.writer(name) as writer:
                count = writer.remove(material_ids)
            typer.echo(f"removed {count} of {len(material_ids)} materials from {name}")
            return
        count = catalogs.manifest(name).material_count
        if not yes:
            typer.confirm(f"Delete the catalog {name} with {count:,} materials?", abort=True)
        catalogs.delete(name)
    typer.echo(f"deleted {name}")


def repair(name: NameArgument, folder: FolderOption = None) -> None:
    """Set damaged files aside, so that the catalog can be used without them."""
    from crystalmesh_retrieval.catalog import repair as repairing  # noqa: PLC0415

    catalogs = catalogs_in(folder)
    catalogs.manifest(name)
    with one_line_for_disks():
        done = repairing.repair(catalogs.folder(name))
    if not done.segments:
        typer.echo(f"{name} is whole")
        return
    typer.echo(
        f"set {done.segments} damaged files with {done.materials:,} materials aside, in "
        f"{catalogs.folder(name) / repairing.DAMAGED}; import the sources of {name} again to get these back"
    )
