"""The training loop: steps, validation, early stopping; stopped anywhere, it goes on exactly there."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from crystalmesh_retrieval.encoders.encoder import Vectors
from crystalmesh_retrieval.training.batches import Batch, batch_count, batches
from crystalmesh_retrieval.training.checkpoints import Checkpoint, Checkpoints, Progress
from crystalmesh_retrieval.training.evaluation import Question, ranks_of_pairs, summary
from crystalmesh_retrieval.training.loss import nt_xent, same_texts
from crystalmesh_retrieval.training.pairs import Pair
from crystalmesh_retrieval.training.recipe import Recipe
from crystalmesh_retrieval.training.towers import TextTower, TowerPair, encode, token_ids

_VALIDATION_ROWS = 1000


@dataclass(frozen=True)
class Machine:
    """Where a run takes place; none of it belongs to the recipe."""

    device: torch.device
    autocast: torch.dtype | None = None
    chunk: int = 64  # texts at once
    checkpoint_seconds: float = 180.0


class Watcher(Protocol):
    """Told of what happens."""

    def stepped(self, progress: Progress, steps: int, loss: float) -> None: ...

    def validated(self, epoch: int, score: float, *, best: bool) -> None: ...


class TrainingStoppedError(Exception):
    """Somebody asked it to stop; the checkpoint holds everything."""


class Trainer:
    """One run. `run` goes on from the newest checkpoint, and equals a run that was never stopped."""

    def __init__(
        self,
        recipe: Recipe,
        towers: TowerPair,
        tokenizer: PreTrainedTokenizerBase,
        machine: Machine,
        checkpoints: Checkpoints,
    ) -> None:
        self._recipe = recipe
        self._towers = towers.to(machine.device)
        self._tokenizer = tokenizer
        self._machine = machine
        self._checkpoints = checkpoints
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(towers, recipe), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._best: dict[str, Tensor] = {}

    def run(self, train: Sequence[Pair], validation: Sequence[Pair], watcher: Watcher) -> Progress:
        """Train to the end and leave the best weights in the towers.

        On SIGINT or SIGTERM it finishes the step, writes a checkpoint and raises TrainingStoppedError.
        """
        recipe = self._recipe
        progress = self._resumed()
        per_epoch = batch_count(recipe, len(train))
        steps = -(-per_epoch // recipe.accumulation) * recipe.epochs
        with _asked_to_stop() as asked:
            written, began = time.monotonic(), time.monotonic()
            while not progress.finished:
                for group in _grouped(
                    batches(recipe, train, progress.epoch, progress.batch), recipe.accumulation
                ):
                    loss, tokens = self._step(group, progress.step, steps)
                    now = time.monotonic()
                    progress = replace(
                        progress,
                        batch=progress.batch + len(group),
                        step=progress.step + 1,
                        seconds=progress.seconds + now - began,
                        tokens=progress.tokens + tokens,
                    )
                    began = now
                    watcher.stepped(progress, steps, loss)
                    if asked() or now - written > self._machine.checkpoint_seconds:
                        self._write(progress)
                        written = time.monotonic()
                    if asked():
                        raise TrainingStoppedError
                progress = self._validated(progress, validation, watcher)
                self._write(progress)
        self._towers.load_state_dict(self._best)
        return progress

    def _resumed(self) -> Progress:
        found = self._checkpoints.newest()
        if found is None:
            return Progress()
        self._towers.load_state_dict(dict(found.weights))
        _put_moments(self._optimizer, self._towers, found.moments)
        self._best = dict(found.best)
        return found.progress

    def _step(self, group: Sequence[Batch], step: int, steps: int) -> tuple[float, int]:
        recipe, machine = self._recipe, self._machine
        torch.manual_seed(recipe.seed * 1_000_003 + step)  # for dropout
        self._towers.train()
        for parameters in self._optimizer.param_groups:
            parameters["lr"] = recipe.learning_rate * parameters["times"] * rate_at(step / steps, recipe)
        total, tokens = 0.0, 0
        for batch in group:
            ids = [
                token_ids(self._tokenizer, texts, recipe.max_tokens)
                for texts in (batch.properties, batch.structures)
            ]
            tokens += sum(len(each) for part in ids for each in part)
            towers = (self._towers.properties, self._towers.structure)
            vectors = [
                encode(tower, part, chunk=machine.chunk, autocast=machine.autocast)
                for tower, part in zip(towers, ids, strict=True)
            ]
            loss = nt_xent(
                vectors[0],
                vectors[1],
                recipe.temperature,
                negatives=recipe.negatives,
                same=same_texts(batch.structures, machine.device),
            )
            (loss / len(group)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / len(group)
        torch.nn.utils.clip_grad_norm_(self._towers.parameters(), recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total, tokens

    def _validated(self, progress: Progress, validation: Sequence[Pair], watcher: Watcher) -> Progress:
        """After an epoch: where the towers stand, whether it is their best, and whether it is enough."""
        score = self.validation_score(validation)
        best = score > progress.best_score
        if best:
            self._best = {name: tensor.detach().clone() for name, tensor in self._towers.state_dict().items()}
            progress = replace(progress, best_epoch=progress.epoch, best_score=score)
        watcher.validated(progress.epoch, score, best=best)
        stale = progress.epoch - progress.best_epoch >= self._recipe.patience
        ended = stale or progress.epoch + 1 >= self._recipe.epochs
        return replace(progress, epoch=progress.epoch + 1, batch=0, finished=ended)

    def validation_score(self, validation: Sequence[Pair]) -> float:
        """Mean of top-1 in a pool of up to 1,000, with the formula and without."""
        self._towers.eval()
        chosen = validation[:: max(1, len(validation) // _VALIDATION_ROWS)][:_VALIDATION_ROWS]
        questions = (Question(), Question(formula=False)) if self._recipe.augment else (Question(),)
        return fmean(summary(ranks_of_pairs(self.vectors, chosen, question)).top1 for question in questions)

    def vectors(self, properties: Sequence[str], structures: Sequence[str]) -> tuple[Vectors, Vectors]:
        """Both towers' vectors of texts, (n, d) and (m, d)."""
        self._towers.eval()
        return (
            self._encoded(self._towers.properties, properties),
            self._encoded(self._towers.structure, structures),
        )

    def _encoded(self, tower: TextTower, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self._recipe.width), dtype=np.float32)
        ids = token_ids(self._tokenizer, texts, self._recipe.max_tokens)
        with torch.no_grad():
            made = encode(tower, ids, chunk=self._machine.chunk, autocast=self._machine.autocast)
        return np.asarray(made.float().cpu().numpy(), dtype=np.float32)

    def _write(self, progress: Progress) -> None:
        self._checkpoints.write(
            Checkpoint(
                progress,
                _copied(self._towers.state_dict()),
                _moments(self._optimizer, self._towers),
                _copied(self._best),
            )
        )


def _parameter_groups(towers: TowerPair, recipe: Recipe) -> list[dict[str, Any]]:
    """Tables (of token embeddings, of T5's position biases) and the rest, each with how fast it learns.

    A step of AdamW has one size for all numbers, and those of tables are large: 1 for a token, several for
    the bias by which a head reads the token before.
    """
    tables = {id(module.weight) for module in towers.modules() if isinstance(module, nn.Embedding)}
    parameters = list(towers.parameters())
    return [
        {"params": [each for each in parameters if (id(each) in tables) is fast], "times": times}
        for fast, times in ((False, 1.0), (True, recipe.table_rate))
    ]


def rate_at(share: float, recipe: Recipe) -> float:
    """The learning rate after a share of the steps, relative to its highest."""
    if share < recipe.warm_up:
        return max(share / recipe.warm_up, 0.01)
    if recipe.decay and share > 1 - recipe.decay:
        return max((1 - share) / recipe.decay, 0.0)
    return 1.0


def _grouped(items: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    group: list[Batch] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def _moments(optimizer: torch.optim.Optimizer, towers: TowerPair) -> dict[str, Tensor]:
    """The optimizer's state by the names of the parameters it belongs to."""
    return {
        f"{key}:{name}": torch.as_tensor(value).detach().cpu().clone()
        for name, parameter in towers.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _put_moments(optimizer: torch.optim.Optimizer, towers: TowerPair, moments: Mapping[str, Tensor]) -> None:
    parameters = dict(towers.named_parameters())
    for label, value in moments.items():
        key, _, name = label.partition(":")
        parameter = parameters[name]
        on_device = value.clone() if key == "step" else value.clone().to(parameter.device)
        optimizer.state[parameter][key] = on_device


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came; a second one is not waited for."""
    came: list[int] = []
    before: dict[int, Any] = {}

    def remember(number: int, frame: object) -> None:
        came.append(number)
        signal.signal(number, before[number])

    try:
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, remember)
    except ValueError:  # in another thread than the main one there is nobody to ask
        pass
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
