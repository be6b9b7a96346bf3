"""`crystalmesh catalog …`: the catalogs of this user, without a mesh."""

from __future__ import annotations

import typer

from crystalmesh_retrieval.cli import adding, exporting, indexing, looking, removing

catalog = typer.Typer(
    name="catalog", help="Catalogs of known materials: fill, look at, export.", no_args_is_help=True
)
catalog.command()(adding.add)
catalog.command("list")(looking.list_catalogs)
catalog.command()(looking.show)
catalog.command()(indexing.index)
catalog.command()(removing.remove)
catalog.command()(exporting.export)
catalog.command()(removing.repair)
