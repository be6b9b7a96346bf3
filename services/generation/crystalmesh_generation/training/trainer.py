"""A training: lessons, steps, checks, and the model that comes of it. Goes on where it stopped."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from crystalmesh_common.runtime.devices import training_device
from crystalmesh_common.runtime.durable import make_folder, write_file
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.model.dual_head import DualHeadModel, RegressionHead
from crystalmesh_generation.model.files import LoadedModel, ModelCard, save_model
from crystalmesh_generation.model.values import PropertyScale
from crystalmesh_generation.training.batches import LessonBatch, batches
from crystalmesh_generation.training.checkpoints import Check, Progress, load_checkpoint, save_checkpoint
from crystalmesh_generation.training.corpus import Corpus
from crystalmesh_generation.training.course import Learnt, Report, take
from crystalmesh_generation.training.curriculum import Epochs, rows_to_learn, training_key, unvaried
from crystalmesh_generation.training.curves import draw_curves
from crystalmesh_generation.training.experiment import PROPERTIES, Experiment
from crystalmesh_generation.training.learning import Learner, rate_at
from crystalmesh_generation.training.lessons import Lesson, Teacher
from crystalmesh_generation.training.objective import losses
from crystalmesh_generation.training.precision import low_precision
from crystalmesh_generation.training.samples import write_samples

__all__ = ["CHECKPOINT", "Report", "Trainer", "scales_of"]

CHECKPOINT = "checkpoint.safetensors"
_PART_WORDS = 4096
"""Of a step, what goes through the model at once on a CPU: more is not faster."""


class Trainer:
    """Trains one model in a folder; the same folder goes on."""

    def __init__(
        self,
        experiment: Experiment,
        corpus: Corpus,
        validation: Corpus | None,
        folder: Path,
        tell: Callable[[Report], None],
    ) -> None:
        make_folder(folder)
        self._experiment = experiment
        self._corpus = corpus
        self._folder = folder
        self._tell = tell
        self._device = training_device(experiment.machine.device)
        if self._device.type == "cpu":
            torch.set_num_threads(experiment.machine.threads or os.cpu_count() or 1)
        self._tokenizer = WordTokenizer.of_words()
        self._rows = rows_to_learn(experiment, corpus)
        self._epochs = Epochs(self._rows, experiment.seed)
        torch.manual_seed(experiment.seed)
        scales = scales_of(corpus, self._rows)
        self._learner = Learner(
            self._new_model(scales),
            experiment.optimization,
            values_weight=experiment.lessons.values_weight,
            low_precision=low_precision(experiment.machine, self._device),
        )
        self._judged = self._new_model(scales).eval()
        self._teacher = Teacher(corpus, self._tokenizer, experiment.lessons)
        self._examination = None if validation is None else self._examined(validation)
        self._key = training_key(experiment, corpus)
        self._progress = load_checkpoint(folder / CHECKPOINT, self._learner, self._key) or Progress()

    def run(self) -> Path:
        """Train until the budget is spent; the folder of the model."""
        take(self, self._progress, self._experiment.budget, self._tell)
        if not (self._folder / "model").exists():
            self._save_model()
        return self._folder / "model"

    def learn(self, spent: float) -> Learnt:
        """Take one step, when such a share of the budget is spent."""
        lessons = self._draw()
        parts = self._parts(lessons)
        self._learner.model.train()
        words, _ = self._learner.step(parts, rate_at(spent, self._experiment.optimization))
        self._learner.follow(self._progress.step + 1)
        return Learnt(len(lessons), sum(len(lesson.words) for lesson in lessons), words)

    def check(self, loss: float) -> Check:
        """See how far it is, after such a mean loss since the last check."""
        progress = self._progress
        model = self._learner.averaged(self._judged)
        surprise = float("nan")
        mae: dict[str, float] = {}
        samples: tuple[str, ...] = ()
        if self._examination is not None:
            teacher, lessons = self._examination
            surprise, mae = self._examine(model, lessons)
            samples = tuple(write_samples(model, self._tokenizer, teacher))
        check = Check(progress.step, progress.seconds, progress.words, loss, surprise, mae, samples)
        checks = [*progress.checks, check]
        draw_curves(checks, self._folder / "curves.png", title=self._experiment.name)
        return check

    def keep(self) -> None:
        """Write the checkpoint and the model."""
        save_checkpoint(self._folder / CHECKPOINT, self._learner, self._progress, self._key)
        self._save_model()

    def _new_model(self, scales: tuple[PropertyScale, ...]) -> DualHeadModel:
        words = self._tokenizer
        size = self._experiment.model.size
        config = size.config(len(words), pad=words.pad, begin=words.begin, end=words.end)
        model = DualHeadModel(LlamaForCausalLM(config), RegressionHead(size.width, scales))
        return model.to(self._device)

    def _draw(self) -> list[Lesson]:
        """The lessons of the next step."""
        lessons: list[Lesson] = []
        count, most = 0, self._experiment.optimization.words
        place = self._progress.lessons
        while True:
            random = np.random.default_rng([self._experiment.seed, place])
            lesson = self._teacher.lesson(self._epochs.row(place), random)
            place += 1
            if len(lesson.words) > self._experiment.model.positions:
                lesson = Lesson([self._tokenizer.begin, self._tokenizer.end], [0.0, 0.0])
            count += len(lesson.words)
            if lessons and count > most:
                return lessons
            lessons.append(lesson)

    def _parts(self, lessons: Sequence[Lesson]) -> list[LessonBatch]:
        whole = self._device.type != "cpu"
        most = 2 * self._experiment.optimization.words if whole else _PART_WORDS
        return batches(lessons, most_words=most, pad=self._tokenizer.pad)

    def _examined(self, validation: Corpus) -> tuple[Teacher, list[Lesson]]:
        """The same lessons at every check: targets that are not learnt from, by references that are."""
        exam = unvaried(self._experiment.lessons).model_copy(
            update={"prompt_weight": 0.0, "facts_weight": 0.0}
        )
        writing = Teacher(
            validation,
            self._tokenizer,
            exam.model_copy(update={"facts": 0.0, "alone": 0.0, "direct": 0.0}),
        )
        facts = Teacher(
            validation,
            self._tokenizer,
            exam.model_copy(update={"facts": 1.0, "alone": 0.0, "direct": 0.0, "transition": 0.0}),
        )
        lessons = [
            teacher.lesson(row, np.random.default_rng([0, row]))
            for row in sorted(validation.pairs)
            for teacher in (writing, facts)
        ]
        most = self._experiment.model.positions
        return writing, [lesson for lesson in lessons if len(lesson.words) <= most]

    def _examine(self, model: DualHeadModel, lessons: Sequence[Lesson]) -> tuple[float, dict[str, float]]:
        words, weight = 0.0, 1e-9
        errors: list[Tensor] = []
        with torch.inference_mode():
            for part in batches(lessons, most_words=_PART_WORDS, pad=self._tokenizer.pad):
                batch = part.to(self._device)
                found = losses(model, batch)
                words, weight = words + float(found.words), weight + float(found.word_weight)
                if len(batch.spans):
                    hidden = model.language.model(input_ids=batch.words, use_cache=False)[0]
                    values = model.regression.in_units(model.regression(hidden.flatten(0, 1), batch.spans))
                    errors.append((values - batch.values).abs())
        off = torch.cat(errors) if errors else torch.zeros(0, len(PROPERTIES))
        means = {name: float(off[:, n].nanmean()) for n, name in enumerate(PROPERTIES)}
        return words / weight, {name: value for name, value in means.items() if np.isfinite(value)}

    def _save_model(self) -> None:
        model = self._learner.averaged(self._judged)
        card = ModelCard(
            max_atoms=self._experiment.max_atoms,
            scales=model.regression.scales,
            provenance=self._provenance(),
        )
        save_model(LoadedModel(model, self._tokenizer, card), self._folder / "model")
        write_file(
            self._folder / "progress.json",
            json.dumps(self._provenance() | {"checks": self._told()}, indent=1).encode(),
        )

    def _told(self) -> list[dict[str, Any]]:
        return [vars(check) for check in self._progress.checks]

    def _provenance(self) -> dict[str, Any]:
        progress = self._progress
        last = progress.checks[-1] if progress.checks else None
        return {
            "license": "Apache-2.0",
            "experiment": self._experiment.model_dump(mode="json"),
            "tables": {str(self._experiment.data.train): self._corpus.sha256},
            "crystals": len(self._rows),
            "steps": progress.step,
            "epochs": progress.lessons / len(self._rows),
            "words": progress.words,
            "training_seconds": progress.seconds,
            "validation_nats_per_word": last.validation if last else None,
            "validation_mae": last.mae if last else {},
            "machine": f"{platform.machine()}, {self._device}, torch {torch.__version__}",
        }


def scales_of(corpus: Corpus, rows: Sequence[int]) -> tuple[PropertyScale, ...]:
    """Mean and spread of every property over the crystals that are learnt from."""
    scales = []
    for name in PROPERTIES:
        known = [corpus.entries[row].portrait.properties.get(name, np.nan) for row in rows]
        present = np.array(known)[np.isfinite(known)]
        mean, spread = (float(present.mean()), float(present.std())) if len(present) else (0.0, 1.0)
        scales.append(PropertyScale(name, mean, spread or 1.0))
    return tuple(scales)
