"""`crystalmesh train generation CONFIG`: train a language model that writes crystals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import CrystalMeshError

if TYPE_CHECKING:
    from crystalmesh_generation.training.corpus import Corpus
    from crystalmesh_generation.training.experiment import Experiment


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
    transitions_only: Annotated[
        bool,
        typer.Option(
            "--transitions-only", help="Have the endpoint of [transitions] write what is missing, and stop."
        ),
    ] = False,
) -> None:
    """Train a language model to write transitions and crystals, and to tell values of crystals.

    With a section [adapter] it is somebody else's Llama that learns, by low-rank adapters. The same command
    goes on after Ctrl-C or kill -9, from the last of its checks.
    """
    from crystalmesh_generation.training.experiment import (  # noqa: PLC0415 -- torch takes seconds to load
        experiment_of,
    )
    from crystalmesh_generation.transitions.cli import write_transitions  # noqa: PLC0415 -- likewise

    cache = corpus or run.parent / "corpus"
    try:
        experiment = experiment_of(config, tuple(change or ()))
        if transitions_only:
            write_transitions(experiment, data, cache)
        else:
            typer.echo(f"written to {_trained(experiment, data, cache, run)}")
    except CrystalMeshError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(exits.exit_code(error)) from None
    except KeyboardInterrupt:
        kept = f"what was written is in {cache}" if transitions_only else f"from the last check in {run}"
        typer.echo(f"stopped; the same command goes on, {kept}", err=True)
        raise typer.Exit(exits.INTERRUPTED) from None


def _trained(experiment: Experiment, data: Path, cache: Path, run: Path) -> Path:
    """The folder of the model that came of it."""
    from crystalmesh_generation.training.adapter_trainer import AdapterTrainer  # noqa: PLC0415 -- torch
    from crystalmesh_generation.training.corpus import training_corpus, validation_corpus  # noqa: PLC0415
    from crystalmesh_generation.training.telling import Screen  # noqa: PLC0415
    from crystalmesh_generation.training.trainer import Trainer  # noqa: PLC0415

    with Screen(experiment.name) as screen:
        learnt = training_corpus(experiment.data, data, cache, screen.preparing)
        held_out = validation_corpus(experiment.data, data, cache, screen.preparing)
        learnt = _with_transitions(experiment, cache, learnt)
        held_out = None if held_out is None else _with_transitions(experiment, cache, held_out)
        kind = Trainer if experiment.adapter is None else AdapterTrainer
        return kind(experiment, learnt, held_out, run, screen.training).run()


def _with_transitions(experiment: Experiment, cache: Path, corpus: Corpus) -> Corpus:
    """The corpus with the transitions that the experiment's endpoint wrote, if it names one."""
    from crystalmesh_generation.transitions.answers import FILE, read_answers  # noqa: PLC0415 -- likewise
    from crystalmesh_generation.transitions.written import WrittenTransitions  # noqa: PLC0415

    if experiment.transitions is None:
        return corpus
    written = WrittenTransitions(corpus, experiment.transitions.model, read_answers(cache / FILE))
    if experiment.adapter is None:
        written.require_our_words()
    return replace(corpus, transitions=written)
