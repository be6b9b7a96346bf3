"""`python -m crystalmesh_generation.pairs`: pair the crystals of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import CrystalMeshError

_NAMED = 20


def pair(
    table: Annotated[Path, typer.Option(help="Parquet table of the targets, in the layout of docs/data.md.")],
    into: Annotated[Path, typer.Option(help="Folder for the pairs; the same folder goes on.")],
    *,
    references: Annotated[
        Path | None, typer.Option(help="Table of the references. Default: that of the targets.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same gives the same pairs.")] = 0,
    per_target: Annotated[int, typer.Option(min=1, help="Aligned references of a target, at most.")] = 4,
    sample: Annotated[int | None, typer.Option(min=1, help="Random targets instead of all.")] = None,
) -> None:
    """Write every crystal of a table in the setting of others that have its structure.

    The same command goes on after Ctrl-C or kill -9.
    """
    from crystalmesh_generation.pairs.pairing import PairRequest, make_pairs  # noqa: PLC0415 -- scipy is slow

    console = Console()
    request = PairRequest(table, references or table, seed=seed, per_target=per_target, sample=sample)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            tasks = {name: bar.add_task(name, visible=False) for name in ("standard settings", "pairs")}
            made = make_pairs(
                request,
                into,
                lambda what, done, total: bar.update(tasks[what], completed=done, total=total, visible=True),
            )
    except CrystalMeshError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(exits.exit_code(error)) from None
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command goes on in {into}", err=True)
        raise typer.Exit(exits.INTERRUPTED) from None
    aligned = sum(each.aligned for each in made.pairs)
    targets = len({each.target for each in made.pairs})
    typer.echo(
        f"{len(made.pairs)} pairs of {targets} targets, {aligned} aligned; "
        f"{len(made.origin.unaligned)} targets without any aligned reference, "
        f"{len(made.origin.left_out)} rows left out"
    )
    for row, reason in made.origin.left_out[:_NAMED]:
        typer.echo(f"row {row}: {reason}")
