"""`crystalmesh train retrieval`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from crystalmesh_client.cli import exits
from crystalmesh_client.cli.reports import JsonOption, usage_error
from crystalmesh_retrieval.cli.options import one_line_for_disks

if TYPE_CHECKING:
    from crystalmesh_retrieval.training.checkpoints import Progress as Reached
    from crystalmesh_retrieval.training.recipe import Recipe
    from crystalmesh_retrieval.training.run import Outcome, Split
    from crystalmesh_retrieval.training.trainer import Machine

_NEEDED = ("torch", "transformers", "sentence_transformers")
_LEAST_SECONDS_BETWEEN_LINES = 60.0


def retrieval(
    data: Annotated[
        Path,
        typer.Argument(help="Folder with train.parquet, val.parquet and, to measure on, test.parquet."),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the run: checkpoints, then the encoder, in `encoder`.")
    ],
    *,
    preset: Annotated[str, typer.Option(help="compact (from scratch) or paper (MatExpert's).")] = "compact",
    architecture: Annotated[str, typer.Option(help="Of both towers: t5 or bert.")] = "t5",
    base: Annotated[
        str | None,
        typer.Option(help="Pretrained weights to start from, a name or a folder. paper: t5-base."),
    ] = None,
    hull: Annotated[
        Path | None,
        typer.Option(help="Table of formation energies, to compute energies above hull that train lacks."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, batches and wordings.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Instead of the preset's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the preset's.")] = None,
    name: Annotated[str, typer.Option(help="Of the encoder. Default: the preset and the architecture.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, or bf16 where it pays: on a GPU.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="Of the CPU, to compute on. 0: all cores.")] = 0,
    processes: Annotated[int, typer.Option(min=1, help="That describe structures.")] = 2,
    texts: Annotated[
        Path | None, typer.Option(help="Folder that keeps descriptions. Default: in the run's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a pair of towers, or go on with a training that was stopped, and measure them on the test split.

    The same command goes on after Ctrl-C or kill -9, and ends with the same weights as one that ran through.
    """
    _check_installed()
    from crystalmesh_retrieval.training.run import read_split, train_encoder  # noqa: PLC0415 -- torch is slow
    from crystalmesh_retrieval.training.trainer import TrainingStoppedError  # noqa: PLC0415

    chosen = _recipe(
        preset,
        architecture=architecture,
        base=base,
        seed=seed,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
    )
    machine = _machine(device, precision, threads)
    with one_line_for_disks(), _Bar(hidden=as_json) as bar:
        split = read_split(
            data, texts or out / "texts", hull=hull, processes=processes, progress=bar.described
        )
        _say_sizes(split, quiet=as_json)
        try:
            outcome = train_encoder(
                chosen, split, out, machine, bar, name=name or f"{preset}-{chosen.architecture}"
            )
        except TrainingStoppedError:
            bar.stop()
            typer.echo(f"stopped; the same command goes on from the checkpoint in {out}", err=True)
            raise typer.Exit(exits.INTERRUPTED) from None
    _report(outcome, as_json=as_json)


def _check_installed() -> None:
    """Serving needs less than training."""
    from importlib.util import find_spec  # noqa: PLC0415

    from crystalmesh_common.runtime.errors import ModelNotFoundError  # noqa: PLC0415

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ModelNotFoundError(
            f"training needs {', '.join(missing)}: pip install 'crystalmesh-retrieval[training]'"
        )
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()  # type: ignore[no-untyped-call]  # of reading and writing files, a bar each


def _recipe(preset: str, **changes: object) -> Recipe:
    from pydantic import ValidationError  # noqa: PLC0415

    from crystalmesh_retrieval.training.recipe import PRESETS, recipe  # noqa: PLC0415

    if preset not in PRESETS:
        usage_error(f"there is no preset {preset!r}, only {', '.join(PRESETS)}")
    try:
        return recipe(preset, **changes)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        usage_error(f"--{'-'.join(map(str, problem['loc'])).replace('_', '-')}: {problem['msg']}")


def _machine(device: str, precision: str, threads: int) -> Machine:
    import torch  # noqa: PLC0415 -- seconds to import

    from crystalmesh_retrieval.training.trainer import Machine  # noqa: PLC0415

    if threads:
        torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    try:
        place = torch.device(("cuda" if cuda else "cpu") if device == "auto" else device)
    except RuntimeError:
        usage_error(f"{device!r} is no device")
    if place.type not in ("cpu", "cuda") or (place.type == "cuda" and not cuda):
        usage_error(f"there is no {device} here")
    kinds = {"fp32": None, "bf16": torch.bfloat16, "auto": torch.bfloat16 if place.type == "cuda" else None}
    if precision not in kinds:
        usage_error(f"--precision is fp32 or bf16, not {precision!r}")
    return Machine(place, kinds[precision], chunk=16 if place.type == "cpu" else 1024)


def _say_sizes(split: Split, *, quiet: bool) -> None:
    if not quiet:
        parts = {"train": split.train, "validation": split.validation, "test": split.test}
        typer.echo(", ".join(f"{len(pairs):,} for {name}" for name, pairs in parts.items()), err=True)


class _Bar:
    """What goes on, on standard error: a bar on a terminal, else a line a minute."""

    def __init__(self, *, hidden: bool) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True, quiet=hidden, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=hidden or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("reading", total=None)
        self._told = 0.0

    def described(self, name: str, rows: int) -> None:
        self._bar.update(self._task, description=f"describing {name}", completed=rows, total=None)

    def stepped(self, progress: Reached, steps: int, loss: float) -> None:
        told = f"epoch {progress.epoch + 1}, loss {loss:.3f}"
        self._bar.update(self._task, description=told, completed=progress.step, total=steps)
        if not self._console.is_terminal and progress.seconds - self._told > _LEAST_SECONDS_BETWEEN_LINES:
            self._told = progress.seconds
            rate = progress.tokens / progress.seconds
            self._console.print(f"step {progress.step} of {steps}, {told}, {rate:,.0f} tokens/s")

    def validated(self, epoch: int, score: float, *, best: bool) -> None:
        mark = ", the best so far" if best else ""
        self._console.print(f"epoch {epoch + 1}: top-1 of validation {100 * score:.2f} %{mark}")

    def stop(self) -> None:
        self._bar.stop()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _report(outcome: Outcome, *, as_json: bool) -> None:
    rows = [
        (question, size, found) for question, sizes in outcome.table.items() for size, found in sizes.items()
    ]
    if as_json:
        facts: dict[str, Any] = {
            "encoder": str(outcome.encoder),
            "version": outcome.info.version,
            "steps": outcome.progress.step,
            "best_epoch": outcome.progress.best_epoch + 1,
            "validation_top1": outcome.progress.best_score,
            "test": [{"question": question, "pool": size, **asdict(found)} for question, size, found in rows],
        }
        typer.echo(json.dumps(facts))
        return
    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415

    table = plain_table("texts", "pool", "top-1 %", "top-5 %", "average rank")
    for question, size, found in rows:
        shares = (f"{100 * share:.2f}" for share in (found.top1, found.top5))
        table.add_row(question, f"{size:,}", *shares, f"{found.average_rank:.2f}")
    if rows:
        standard_output().print(table, markup=False, highlight=False)
    typer.echo(f"{outcome.info.name} {outcome.info.version} is in {outcome.encoder}")
