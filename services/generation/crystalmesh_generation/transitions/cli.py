"""Having the transitions of an experiment written, with progress on a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError
from crystalmesh_generation.transitions.answers import FILE, open_answers
from crystalmesh_generation.transitions.asking import Tally, Told, ask

if TYPE_CHECKING:
    from crystalmesh_generation.training.corpus import Corpus
    from crystalmesh_generation.training.experiment import Experiment
    from crystalmesh_generation.transitions.prompts import Prompt
    from crystalmesh_generation.transitions.settings import TransitionsConfig


def write(
    config: Annotated[Path, typer.Argument(help="The experiment, a TOML file with [transitions].")],
    data: Annotated[Path, typer.Option(help="Folder of the tables that the experiment names.")],
    corpus: Annotated[Path, typer.Option(help="Folder for pairs, portraits and transitions.")],
    *,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value, as transitions.concurrent=2; any number of these."),
    ] = None,
) -> None:
    """Have an OpenAI-compatible endpoint write the transitions of an experiment that are missing.

    The same command goes on after Ctrl-C, kill -9 or an endpoint that went away; nothing is asked twice.
    """
    from crystalmesh_generation.training.experiment import (  # noqa: PLC0415 -- torch takes seconds to load
        experiment_of,
    )

    try:
        write_transitions(experiment_of(config, tuple(change or ())), data, corpus)
    except CrystalMeshError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(exits.exit_code(error)) from None
    except KeyboardInterrupt:
        typer.echo(f"stopped; what was written is in {corpus / FILE}, the same command goes on", err=True)
        raise typer.Exit(exits.INTERRUPTED) from None


def write_transitions(experiment: Experiment, data: Path, cache: Path) -> None:
    """Have all that is missing written into the folder of the corpus, and say what came of it."""
    from crystalmesh_generation.training.corpus import training_corpus, validation_corpus  # noqa: PLC0415
    from crystalmesh_generation.training.curriculum import rows_to_learn  # noqa: PLC0415

    if (config := experiment.transitions) is None:
        raise InvalidFieldError("the experiment has no section [transitions]", field="transitions")
    config.key()  # who has none is told before the corpus is made
    console = Console()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        preparing = bar.add_task("corpus", total=None)

        def prepared(what: str, done: int, rows: int) -> None:
            bar.update(preparing, description=what, completed=done, total=rows)

        learnt = training_corpus(experiment.data, data, cache, prepared)
        held_out = validation_corpus(experiment.data, data, cache, prepared)
        parts = [(learnt, rows_to_learn(experiment, learnt))]
        parts += [] if held_out is None else [(held_out, sorted(held_out.pairs))]
        bar.update(preparing, visible=False)
        asking = bar.add_task(f"transitions by {config.model}", total=sum(_count(*part) for part in parts))

        def asked(tally: Tally) -> None:
            done = tally.known + tally.written + tally.faulty + tally.refused
            bar.update(asking, completed=done)

        tally = asyncio.run(_ask(config, cache / FILE, parts, asked))
    console.print(
        f"{tally.written} transitions written, {tally.known} were there; {tally.faulty} answers and "
        f"{tally.refused} refused questions go by the analyser's text",
        highlight=False,
        soft_wrap=True,
    )


async def _ask(
    config: TransitionsConfig,
    path: Path,
    parts: Sequence[tuple[Corpus, Sequence[int]]],
    tell: Told,
) -> Tally:
    from crystalmesh_generation.transitions.endpoint import Endpoint  # noqa: PLC0415 -- the HTTP library

    questions = chain.from_iterable(_questions(*part, config.model) for part in parts)
    with open_answers(path) as log:
        async with Endpoint(config) as endpoint:
            return await ask(questions, endpoint, log, concurrent=config.concurrent, tell=tell)


def _count(corpus: Corpus, rows: Sequence[int]) -> int:
    return sum(len(corpus.pairs[row]) for row in rows)


def _questions(corpus: Corpus, rows: Sequence[int], model: str) -> Iterator[Prompt]:
    from crystalmesh_generation.transitions.written import Questions  # noqa: PLC0415 -- likewise

    questions = Questions(corpus, model)
    return (questions.of(pair) for row in rows for pair in corpus.pairs[row])
