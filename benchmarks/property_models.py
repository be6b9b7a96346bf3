"""Which trained models are measured, and the rows that judge them, checked against what they learnt from.

A model that ships is taken; where none ships, an environment variable names a folder, that of a training or
the `model` in it. What a model was trained on is read from its own provenance, and its tables are split
again by the rules of `crystalmesh_property.evaluation`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks import datasets
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.splits import Split
from crystalmesh_property.model.files import TrainedModel, load_model
from crystalmesh_property.serving.folders import SHIPPED
from crystalmesh_property.training.data import load_data
from crystalmesh_property.training.experiment import Experiment

GRAPHS = Path("build") / "property" / "graphs"
PROCESSES = 2
_SAID = "model.json"


@dataclass(frozen=True)
class Task:
    """What a model is judged on, how one is trained, and where one may lie."""

    name: str  # of the shipped folder
    experiment: str  # of `crystalmesh train property`
    variable: str
    learnt_from: str
    judged_on: str  # the table with the test part
    judged_part: str
    fold: int = 0


MP_GAP = Task(
    "mp-gap",
    "mp_gap",
    "CRYSTALMESH_MP_GAP_MODEL",
    "matbench_mp_gap.parquet",
    "matbench_mp_gap.parquet",
    "mp_gap fold 0",
)
MP20 = Task(
    "mp20",
    "mp20",
    "CRYSTALMESH_MP20_MODEL",
    "mp20/train.parquet",
    "mp20/test.parquet",
    "MP-20 test",
)


@dataclass(frozen=True, eq=False)
class Judged:
    """A model with the rows that judge it."""

    task: Task
    folder: Path
    model: TrainedModel
    experiment: Experiment
    pool: GraphPool
    split: Split


class LearntFromJudgedError(InvalidFieldError):
    """A model's provenance says, or implies, that it was trained on rows that would judge it."""


def model_folders(tasks: Sequence[Task], shipped: Path = SHIPPED) -> dict[Task, Path]:
    """The folder of each task's model. FileNotFoundError names all that are missing and how to make them."""
    found = {task: folder for task in tasks if (folder := _folder(task, shipped)) is not None}
    missing = [_how_to_train(task, shipped) for task in tasks if task not in found]
    if missing:
        raise FileNotFoundError("\n".join(missing))
    return found


def _folder(task: Task, shipped: Path) -> Path | None:
    named = os.environ.get(task.variable)
    if (shipped / task.name / _SAID).exists():
        if named:
            print(f"{task.variable} is not used: a model {task.name} ships")
        return shipped / task.name
    if not named:
        return None
    return next((each for each in (Path(named), Path(named) / "model") if (each / _SAID).exists()), None)


def _how_to_train(task: Task, shipped: Path) -> str:
    named = os.environ.get(task.variable)
    where = f"{task.variable}={named} holds none" if named else f"{task.variable} is not set"
    run = f"build/property/{task.name}"
    return (
        f"there is no model {task.name} to judge on {task.judged_part}: none ships in "
        f"{os.path.relpath(shipped)}, and {where}. Train one with `crystalmesh train property "
        f"{task.experiment} --data ../shared/data --run {run} --graphs {GRAPHS}` "
        f"and set {task.variable}={run}"
    )


def judged(task: Task, folder: Path) -> Judged:
    """The model of a folder with its rows, graphs made where there are none yet.

    Raises LearntFromJudgedError for one that cannot be judged there, and InvalidFieldError for one that
    does not say what it was trained on.
    """
    model = load_model(folder)
    experiment = _experiment(model, folder)
    _check_rules(task, experiment, folder)
    pool, split = rows_of(experiment)
    _check_rows(experiment, model.provenance, pool, split, folder)
    return Judged(task, folder, model, experiment, pool, split)


def rows_of(experiment: Experiment) -> tuple[GraphPool, Split]:
    """The crystals of an experiment; FileNotFoundError says in one line which table is missing."""
    for table in experiment.data.tables:
        datasets.dataset(table.as_posix())
    root = Path(os.environ.get(datasets.VARIABLE) or datasets.DEFAULT)
    return load_data(experiment, root, GRAPHS, processes=PROCESSES)


def _experiment(model: TrainedModel, folder: Path) -> Experiment:
    try:
        return Experiment.model_validate(model.provenance["experiment"])
    except (KeyError, ValidationError) as error:
        raise InvalidFieldError(
            f"the model in {folder} does not say what it was trained on: {type(error).__name__}"
        ) from error


def _check_rules(task: Task, experiment: Experiment, folder: Path) -> None:
    data = experiment.data
    test = data.train if data.protocol == "matbench" else data.test
    if (
        data.train != Path(task.learnt_from)
        or test != Path(task.judged_on)
        or data.fold != task.fold
        or (data.protocol == "matbench" and data.extra)
    ):
        learnt = " and ".join(path.as_posix() for path in (data.train, *data.extra))
        fold = f" without fold {data.fold}" if data.protocol == "matbench" else ""
        raise LearntFromJudgedError(
            f"the model in {folder} was trained on {learnt}{fold}, by the rules of {data.protocol}: "
            f"{task.judged_part} may not judge it"
        )


def _check_rows(
    experiment: Experiment, provenance: dict[str, Any], pool: GraphPool, split: Split, folder: Path
) -> None:
    """Compare what the model says that it learnt from with the tables at hand."""
    said: dict[str, str] = provenance.get("tables", {})
    learnt = {path.name: said.get(path.name) for path in (experiment.data.train, *experiment.data.extra)}
    here = {table.origin.table: table.origin.sha256 for table in pool.tables}
    data = experiment.data
    judging = {path.name: here[path.name] for path in (data.validation, data.test) if path is not None}
    for name, digest in learnt.items():
        for other, judge in judging.items():
            if digest == judge:
                raise LearntFromJudgedError(
                    f"the model in {folder} was trained on a {name} with the content of {other}"
                )
        if digest != here[name]:
            print(f"note: the model in {folder} was trained on another {name} than the one here")
    rows = len(pool.known(split.train, experiment.properties))
    counted = int(provenance.get("crystals", {}).get("train", 0))
    if learnt == {name: here[name] for name in learnt} and counted > rows:
        raise LearntFromJudgedError(
            f"the model in {folder} was trained on {counted} crystals; by the rules there are {rows}"
        )
