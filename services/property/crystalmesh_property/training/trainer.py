"""A training from its experiment to a model's folder with its scores."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalmesh_common.runtime.devices import training_device
from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.scoring import Predictions, Score, conformal_factor, score
from crystalmesh_property.evaluation.splits import Split
from crystalmesh_property.graphs.batches import BatchSize, ahead, load_batch, shuffled_batches
from crystalmesh_property.model.domain import domain_of
from crystalmesh_property.model.files import TrainedModel, save_model
from crystalmesh_property.model.network import CrystalGraphNetwork
from crystalmesh_property.model.objective import normalize_for, scaled_labels
from crystalmesh_property.model.predicting import Estimates, estimate_members
from crystalmesh_property.training.checkpoints import Check, Progress, load_checkpoint, save_checkpoint
from crystalmesh_property.training.curves import draw_curves
from crystalmesh_property.training.experiment import Experiment
from crystalmesh_property.training.learning import (
    Learner,
    Lesson,
    divided,
    learning_rate,
    workers_of,
)

CHECKPOINT = "checkpoint.safetensors"
_DRAWN_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Report:
    """How a training goes, told after every step."""

    step: int
    epoch: int
    spent: float  # share of the budget
    loss: float  # of the step's batch
    crystals_per_second: float
    check: Check | None  # where the step ended with one


@dataclass(frozen=True, eq=False)
class _Place:
    """A batch and where it is."""

    epoch: int
    batch: int
    members: NDArray[np.int64]


class Trainer:
    """One training in its folder. Running it again goes on where it stopped."""

    def __init__(
        self,
        experiment: Experiment,
        pool: GraphPool,
        split: Split,
        folder: Path,
        report: Callable[[Report], None] = lambda report: None,
    ) -> None:
        self._experiment, self._pool, self._folder, self._report = experiment, pool, folder, report
        self._split = split
        self._properties = experiment.properties
        self._train = pool.known(split.train, self._properties)
        self._targets = scaled_labels(pool.labels, self._properties)  # (all, p)
        self._check_validation()
        torch.manual_seed(experiment.seed)
        device = training_device(experiment.machine.device)
        self._workers = workers_of(experiment.machine, device)
        network = CrystalGraphNetwork(experiment.network, self._properties)
        normalize_for(network, self._targets[self._train])
        self._learner = Learner(network.to(device), experiment.optimization, experiment.machine)
        self._judged = copy.deepcopy(network)  # a network for the averaged weights
        self._best = [values.clone() for values in self._learner.average]
        self._progress = Progress()
        self._drawn = 0.0
        self._key = _key(experiment, pool, split)

    def _check_validation(self) -> None:
        """Intervals are measured there, so every property needs labels there."""
        targets = self._targets[self._split.validation]
        for n, name in enumerate(self._properties):
            if not np.isfinite(targets[:, n]).any():
                raise InvalidFieldError(
                    f"the validation part has no labels of {name} to measure its intervals with",
                    field="properties",
                )

    def run(self) -> list[Score]:
        """Train until the budget is spent, then write the model, its predictions and its scores."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self._folder / CHECKPOINT, self._learner, self._key)
        if found is not None:
            self._best, self._progress = found
        # Operations that wait for a second core would keep it from the thread that learns there.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            if self._spent() < 1 and not self._stale():
                self._learn()
            return self._finish()
        finally:
            torch.set_num_threads(threads)
            self._learner.close()

    def _learn(self) -> None:
        progress, config = self._progress, self._experiment.optimization
        begun = time.monotonic() - progress.seconds
        losses: list[float] = []
        spent = self._spent()
        for place, parts in ahead(self._prepared, self._places()):
            loss = self._learner.step(parts, learning_rate(config, spent))
            progress.step += 1
            progress.epoch, progress.batch = place.epoch, place.batch + 1
            progress.learnt += len(place.members)
            self._learner.follow(progress.step)
            if not np.isfinite(loss):
                raise InvalidFieldError(
                    f"the loss is no number after step {progress.step}: try a lower learning rate",
                    field="optimization.learning_rate",
                )
            losses.append(loss)
            progress.seconds = time.monotonic() - begun
            before, spent = spent, self._spent()
            checks = self._experiment.budget.checks
            check = None
            if int(spent * checks) > int(before * checks):
                check = self._check(float(np.mean(losses)))
                losses = []
                progress.seconds = time.monotonic() - begun
                self._save()
            speed = progress.learnt / max(progress.seconds, 1e-9)
            self._report(Report(progress.step, progress.epoch, spent, loss, speed, check))
            if check is not None and (spent >= 1 or self._stale()):
                return

    def _places(self) -> Iterator[_Place]:
        """The batches from where the training is, without end."""
        config, epoch, start = self._experiment.optimization, self._progress.epoch, self._progress.batch
        while True:
            batches = shuffled_batches(
                self._pool.edge_counts,
                self._train,
                BatchSize(config.crystals, config.edges),
                seed=self._experiment.seed,
                epoch=epoch,
            )
            for number in range(start, len(batches)):
                yield _Place(epoch, number, batches[number])
            epoch, start = epoch + 1, 0

    def _prepared(self, place: _Place) -> tuple[_Place, list[Lesson]]:
        """The parts of a batch, made in a thread while the one before is learnt from."""
        members = divided(place.members, self._pool.edge_counts, self._workers)
        targets = [torch.from_numpy(self._targets[part].astype(np.float32)) for part in members]
        batches = [load_batch(self._pool, part) for part in members]
        return place, [Lesson(*each) for each in zip(batches, targets, strict=True)]

    def _spent(self) -> float:
        budget, progress = self._experiment.budget, self._progress
        shares = [0.0]
        if budget.steps is not None:
            shares.append(progress.step / budget.steps)
        if budget.minutes is not None:
            shares.append(progress.seconds / (60 * budget.minutes))
        return max(shares)

    def _check(self, loss: float) -> Check:
        """Validate the averaged weights, and keep them if none were better."""
        network = self._learner.averaged(self._judged)
        members = self._pool.known(self._split.validation, self._properties)
        found = self._estimates(network, members)
        errors = np.abs(found.values - self._targets[members])
        known = {n: errors[np.isfinite(errors[:, n]), n] for n in range(len(self._properties))}
        mae = {n: float(each.mean()) for n, each in known.items() if len(each)}
        validation = float(np.mean([each / float(network.spreads[n]) for n, each in mae.items()]))
        progress = self._progress
        named = {str(self._properties[n]): each for n, each in mae.items()}
        check = Check(progress.step, progress.seconds, loss, validation, named)
        progress.checks.append(check)
        if validation < progress.best:
            progress.best = validation
            self._best = [values.clone() for values in self._learner.average]
        return check

    def _stale(self) -> bool:
        patience = self._experiment.budget.patience
        values = [check.validation for check in self._progress.checks]
        return bool(patience and values) and len(values) - 1 - int(np.argmin(values)) >= patience

    def _save(self) -> None:
        save_checkpoint(self._folder / CHECKPOINT, self._learner, self._best, self._progress, self._key)
        if self._progress.seconds - self._drawn > _DRAWN_EVERY_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn = self._progress.seconds
        draw_curves(self._progress.checks, self._folder / "curves.png", title=self._experiment.name)

    def _estimates(self, network: CrystalGraphNetwork, members: NDArray[np.int64]) -> Estimates:
        return estimate_members(network, self._pool, self._pool.edge_counts, members, workers=self._workers)

    def _finish(self) -> list[Score]:
        """Take the best weights, measure intervals on the validation part, judge the test part."""
        network = self._learner.averaged(self._judged)
        _copy_into(network, self._best)
        members = self._split.validation
        found, labels = self._estimates(network, members), self._targets[members]
        factors = []
        for n in range(len(self._properties)):
            known = np.isfinite(labels[:, n])
            errors = np.abs(found.values[known, n] - labels[known, n])
            factors.append(conformal_factor(errors, found.scales[known, n]))
        ends = self._estimates(network, self._split.test).in_units(self._properties, factors)
        ids = [self._pool.ids[index] for index in self._split.test]
        predictions = Predictions(self._properties, ids, *ends)
        predictions.save(self._folder / "predictions.parquet")
        scores = score(predictions, self._pool, self._split)
        provenance = self._provenance(scores)
        save_model(
            TrainedModel(
                network=network,
                graphs=self._experiment.graphs,
                interval_factors=dict(zip(self._properties, factors, strict=True)),
                domain=domain_of(self._pool, self._train),
                provenance=provenance,
            ),
            self._folder / "model",
        )
        self._draw()
        write_file(self._folder / "scores.json", json.dumps(provenance, indent=1).encode())
        return scores

    def _provenance(self, scores: list[Score]) -> dict[str, Any]:
        progress = self._progress
        return {
            "experiment": self._experiment.model_dump(mode="json"),
            "tables": {table.origin.table: table.origin.sha256 for table in self._pool.tables},
            "split": self._split.name,
            "crystals": {
                "train": len(self._train),
                "validation": len(self._split.validation),
                "test": len(self._split.test),
            },
            "steps": progress.step,
            "epochs": progress.learnt / len(self._train),
            "training_seconds": progress.seconds,
            "machine": f"{platform.machine()}, {self._judged.centres.device}, torch {torch.__version__}",
            "scores": [asdict(each) for each in scores],
        }


def _copy_into(network: CrystalGraphNetwork, weights: list[Tensor]) -> None:
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), weights, strict=True):
            parameter.copy_(values)


def _key(experiment: Experiment, pool: GraphPool, split: Split) -> str:
    """What a checkpoint has to be of: the experiment, its tables, and which rows are learnt from.

    A budget may be extended, and another machine go on, without another key.
    """
    said = experiment.model_dump(mode="json", exclude={"budget", "machine"})
    tables = [table.origin.sha256 for table in pool.tables]
    hasher = hashlib.sha256(json.dumps([said, tables], sort_keys=True).encode())
    hasher.update(split.train.tobytes())
    return hasher.hexdigest()
