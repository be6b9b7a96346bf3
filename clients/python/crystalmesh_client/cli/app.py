"""The commands of `crystalmesh`."""

from __future__ import annotations

import typer

from crystalmesh_client.cli import (
    campaigns,
    catalogs,
    design,
    elastic,
    embed,
    eos,
    evaluate,
    export,
    generate,
    hull,
    match,
    materials,
    mcp,
    md,
    mesh,
    models,
    phonons,
    predict,
    references,
    relax,
    search,
)
from crystalmesh_client.cli.brought import add_to, brought

app = typer.Typer(
    name="crystalmesh",
    help="A mesh of gRPC model servers for discovering inorganic materials.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command(rich_help_panel="Run a mesh")(mesh.up)
app.command(rich_help_panel="Run a mesh")(mesh.status)
app.command(rich_help_panel="Run a mesh")(mesh.logs)
app.command(rich_help_panel="Run a mesh")(mesh.down)
app.command(rich_help_panel="Use a mesh")(design.design)
app.add_typer(campaigns.app, name="campaigns", rich_help_panel="Use a mesh")
app.command(rich_help_panel="Use a mesh")(export.export)
app.command(rich_help_panel="Use a mesh")(evaluate.evaluate)
app.command(rich_help_panel="Use a mesh")(relax.relax)
app.command(rich_help_panel="Use a mesh")(md.md)
app.command(rich_help_panel="Use a mesh")(hull.hull)
app.command(rich_help_panel="Use a mesh")(eos.eos)
app.command(rich_help_panel="Use a mesh")(elastic.elastic)
app.command(rich_help_panel="Use a mesh")(phonons.phonons)
app.command(rich_help_panel="Use a mesh")(predict.predict)
app.command(rich_help_panel="Use a mesh")(generate.generate)
app.command(rich_help_panel="Use a mesh")(search.search)
app.command(rich_help_panel="Use a mesh")(match.match)
app.command(rich_help_panel="Use a mesh")(embed.embed)
app.command(rich_help_panel="Use a mesh")(materials.materials)
app.command(rich_help_panel="Use a mesh")(catalogs.catalogs)
app.command(rich_help_panel="Use a mesh")(references.references)
app.command(rich_help_panel="Use a mesh")(models.models)
app.command(rich_help_panel="Use a mesh")(mcp.mcp)
# Services that are installed here bring commands of their own.
for _name, _command in brought("crystalmesh.commands"):
    add_to(app, _name, _command)
_train = typer.Typer(name="train", help="Train the models that services serve.", no_args_is_help=True)
_train.callback()(lambda: None)  # so that a single command keeps its name
for _name, _command in brought("crystalmesh.train"):
    add_to(_train, _name, _command)
if _train.registered_commands:
    app.add_typer(_train, rich_help_panel="Work with files")


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),  # noqa: FBT001, FBT003
) -> None:
    if version:
        from importlib.metadata import version as installed  # noqa: PLC0415

        typer.echo(f"crystalmesh {installed('crystalmesh')}")
        raise typer.Exit
