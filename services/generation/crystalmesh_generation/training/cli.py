"""`crystalmesh train generation CONFIG`: train a language model that writes crystals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import CrystalMeshError


def train(
    config: Annotated[Path, typer.Argument(help="The experiment, a TOML file; `mp20` ships.")],
    data: Annotated[Path, typer.Option(help="Folder of the tables that the experiment names.")],
    run: Annotated[Path, typer.Option(help="Folder of this training; the same folder goes on.")],
    *,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder for pairs and portraits. Default: `corpus` beside the run's.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value, as budget.minutes=3; any number of these."),
    ] = None,
) -> None:
    """Train a language model to write transitions and crystals, and to tell values of crystals.

    The same command goes on after Ctrl-C or kill -9, from the last of its checks.
    """
    from crystalmesh_generation.training.corpus import (  # noqa: PLC0415 -- torch takes seconds to load
        training_corpus,
        validation_corpus,
    )
    from crystalmesh_generation.training.experiment import experiment_of  # noqa: PLC0415
    from crystalmesh_generation.training.telling import Screen  # noqa: PLC0415
    from crystalmesh_generation.training.trainer import Trainer  # noqa: PLC0415

    try:
        experiment = experiment_of(config, tuple(change or ()))
        with Screen(experiment.name) as screen:
            cache = corpus or run.parent / "corpus"
            learnt = training_corpus(experiment.data, data, cache, screen.preparing)
            held_out = validation_corpus(experiment.data, data, cache, screen.preparing)
            model = Trainer(experiment, learnt, held_out, run, screen.training).run()
        typer.echo(f"written to {model}")
    except CrystalMeshError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(exits.exit_code(error)) from None
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command goes on from the last check in {run}", err=True)
        raise typer.Exit(exits.INTERRUPTED) from None
