"""`crystalmesh train property CONFIG`: train a crystal graph network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import CrystalMeshError


def train(
    config: Annotated[Path, typer.Argument(help="The experiment, a TOML file; `mp_gap` and `mp20` ship.")],
    data: Annotated[Path, typer.Option(help="Folder of the tables that the experiment names.")],
    run: Annotated[Path, typer.Option(help="Folder of this training; the same folder goes on.")],
    *,
    graphs: Annotated[
        Path | None, typer.Option(help="Folder for packed graphs. Default: `graphs` beside the run's.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value, as budget.minutes=3; any number of these."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="That pack graphs.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Judge 2,000 fixed test rows only.")] = False,
) -> None:
    """Train a network for properties of crystals and judge it on the test part of its protocol.

    The same command goes on after Ctrl-C or kill -9, from the last of its checks.
    """
    from crystalmesh_property.training.data import load_data  # noqa: PLC0415 -- torch takes seconds to load
    from crystalmesh_property.training.experiment import experiment_of  # noqa: PLC0415
    from crystalmesh_property.training.telling import Screen  # noqa: PLC0415
    from crystalmesh_property.training.trainer import Trainer  # noqa: PLC0415

    try:
        experiment = experiment_of(config, tuple(change or ()))
        with Screen(experiment.name) as screen:
            cache = graphs or run.parent / "graphs"
            pool, split = load_data(experiment, data, cache, processes=processes, progress=screen.preparing)
            split = split.quick() if quick else split
            scores = Trainer(experiment, pool, split, run, screen.training).run()
            screen.scores(scores, run)
    except CrystalMeshError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(exits.exit_code(error)) from None
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command goes on from the last check in {run}", err=True)
        raise typer.Exit(exits.INTERRUPTED) from None
