"""What the commands share: where catalogs are, and what they say when a disk fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli import exits

if TYPE_CHECKING:
    from crystalmesh_retrieval.catalog.catalogs import Catalogs

NameArgument = Annotated[str, typer.Argument(metavar="CATALOG", help="Name of the catalog.")]
FolderOption = Annotated[
    Path | None,
    typer.Option("--catalogs", help="Folder of the catalogs. Default: `catalogs` in the mesh's home."),
]


def catalogs_in(folder: Path | None) -> Catalogs:
    """The catalogs of a folder; without one, of this user."""
    from crystalmesh_retrieval.catalog.catalogs import Catalogs  # noqa: PLC0415 -- Arrow is slow to import

    return Catalogs.of_this_user() if folder is None else Catalogs(folder)


@contextmanager
def one_line_for_disks() -> Iterator[None]:
    """A folder that cannot be read or written is one line, like any other error."""
    try:
        yield
    except OSError as error:
        typer.echo(f"crystalmesh: {error.filename or 'the disk'}: {error.strerror}", err=True)
        raise typer.Exit(exits.FAILED) from None
