"""A training of adapters for a Llama: MatExpert's recipe. Goes on where it stopped."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crystalmesh_common.runtime.devices import training_device
from crystalmesh_common.runtime.durable import make_folder, write_file
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.language.layout import laid_out
from crystalmesh_generation.training.adapter_files import fingerprint, load_llama, save_adapter, save_llama
from crystalmesh_generation.training.adapter_learning import AdapterLearner
from crystalmesh_generation.training.adapter_lessons import TextTeacher
from crystalmesh_generation.training.adapters import add_adapters, merge_adapters
from crystalmesh_generation.training.batches import LessonBatch, batches
from crystalmesh_generation.training.checkpoints import Check, Progress, load_checkpoint, save_checkpoint
from crystalmesh_generation.training.conversations import Conversations
from crystalmesh_generation.training.corpus import Corpus
from crystalmesh_generation.training.course import Learnt, Report, take
from crystalmesh_generation.training.curriculum import Epochs, rows_to_learn, training_key, unvaried
from crystalmesh_generation.training.curves import draw_curves
from crystalmesh_generation.training.experiment import AdapterConfig, Experiment
from crystalmesh_generation.training.learning import rate_at
from crystalmesh_generation.training.lessons import Lesson
from crystalmesh_generation.training.precision import low_precision
from crystalmesh_generation.training.samples import shown

CHECKPOINT = "checkpoint.safetensors"
_MOST_WRITTEN = 512
"""Pieces of a sample."""
_TRIED = 100
"""Lessons that are drawn at first, to see whether they fit."""


class AdapterTrainer:
    """Trains the adapters of one Llama in a folder; the same folder goes on."""

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
        self._config = _adapter_of(experiment)
        self._corpus = corpus
        self._folder = folder
        self._tell = tell
        self._device = training_device(experiment.machine.device)
        if self._device.type == "cpu":
            torch.set_num_threads(experiment.machine.threads or os.cpu_count() or 1)
        low = low_precision(experiment.machine, self._device)
        self._model, self._tokenizer = load_llama(
            self._config.checkpoint, self._device, torch.bfloat16 if low else torch.float32
        )
        self._most = min(self._config.tokens, int(self._model.config.max_position_embeddings))
        rows = rows_to_learn(experiment, corpus)
        self._crystals = len(rows)
        self._epochs = Epochs(rows, experiment.seed)
        self._teacher = TextTeacher(Conversations(corpus, experiment.lessons), self._tokenizer)
        self._require_room()
        self._adapters = add_adapters(self._model, self._config, experiment.seed)
        if self._config.gradient_checkpointing:
            self._model.activation_checkpointing_enable({"use_reentrant": False})
        self._learner = AdapterLearner(
            self._model, self._adapters, experiment.optimization, low_precision=low
        )
        self._examination = None if validation is None else self._examined(validation)
        self._key = training_key(experiment, corpus, fingerprint(self._config.checkpoint))
        self._progress = load_checkpoint(folder / CHECKPOINT, self._learner, self._key) or Progress()

    def run(self) -> Path:
        """Train until the budget is spent; the folder of the adapter, or of the merged Llama if asked for."""
        take(self, self._progress, self._experiment.budget, self._tell)
        adapter = self._folder / "adapter"
        if not adapter.exists():
            self._save_adapter()
        if not self._config.merge:
            return adapter
        merge_adapters(self._model, self._adapters)
        save_llama(self._folder / "model", self._model, self._tokenizer)
        return self._folder / "model"

    def learn(self, spent: float) -> Learnt:
        """Take one step, when such a share of the budget is spent."""
        lessons = self._draw()
        rate = rate_at(spent, self._experiment.optimization)
        seed = int(np.random.default_rng([self._experiment.seed, 2, self._progress.step]).integers(1 << 62))
        nats = self._learner.step(self._parts(lessons), rate, seed)
        return Learnt(len(lessons), sum(len(lesson.words) for lesson in lessons), nats)

    def check(self, loss: float) -> Check:
        """See how far it is, after such a mean loss since the last check."""
        progress = self._progress
        nats = float("nan")
        samples: tuple[str, ...] = ()
        if self._examination is not None:
            conversations, lessons = self._examination
            nats = self._learner.examine(self._parts(lessons))
            samples = tuple(self._written(conversations))
        check = Check(progress.step, progress.seconds, progress.words, loss, nats, {}, samples)
        draw_curves([*progress.checks, check], self._folder / "curves.png", title=self._experiment.name)
        return check

    def keep(self) -> None:
        """Write the checkpoint and the adapter."""
        save_checkpoint(self._folder / CHECKPOINT, self._learner, self._progress, self._key)
        self._save_adapter()

    def _draw(self) -> list[Lesson]:
        """The lessons of the next step; one that is too long is replaced by one that teaches nothing."""
        lessons: list[Lesson] = []
        count, most = 0, self._experiment.optimization.words
        while True:
            lesson = self._numbered(self._progress.lessons + len(lessons))
            if len(lesson.words) > self._most:
                lesson = Lesson(lesson.words[:1], [0.0])
            count += len(lesson.words)
            if lessons and count > most:
                return lessons
            lessons.append(lesson)

    def _numbered(self, place: int) -> Lesson:
        random = np.random.default_rng([self._experiment.seed, place])
        return self._teacher.lesson(self._epochs.row(place), random)

    def _parts(self, lessons: Sequence[Lesson]) -> list[LessonBatch]:
        return batches(lessons, most_words=self._config.part_tokens, pad=0)

    def _require_room(self) -> None:
        lengths = [len(self._numbered(place).words) for place in range(_TRIED)]
        if float(np.median(lengths)) > self._most:
            raise InvalidFieldError(
                f"half of the lessons are longer than {self._most} tokens, the longest {max(lengths)}; raise "
                "adapter.tokens, or take a model for longer texts",
                field="adapter.tokens",
            )

    def _examined(self, validation: Corpus) -> tuple[Conversations, list[Lesson]]:
        """The same lessons at every check: targets that are not learnt from, by references that are."""
        config = unvaried(self._experiment.lessons).model_copy(update={"facts": 0.0, "alone": 0.0})
        if not config.transition + config.direct:
            config = config.model_copy(update={"transition": 1.0})
        conversations = Conversations(validation, config)
        teacher = TextTeacher(conversations, self._tokenizer)
        drawn = (teacher.lesson(row, np.random.default_rng([0, row])) for row in conversations.rows)
        return conversations, [lesson for lesson in drawn if len(lesson.words) <= self._most]

    def _written(self, conversations: Conversations) -> Iterator[str]:
        """What the model writes for a few prompts, always the likeliest piece."""
        for prompt in (each.as_question()[0] for each in shown(conversations)):
            read = self._teacher.read(laid_out(prompt)[0])
            with (
                torch.inference_mode(),
                torch.autocast(
                    self._device.type, dtype=torch.bfloat16, enabled=self._model.dtype == torch.bfloat16
                ),
            ):
                written = self._model.generate(  # type: ignore[misc]  # its own self is not of its own type
                    torch.tensor([read], device=self._device),
                    attention_mask=torch.ones(1, len(read), dtype=torch.int64, device=self._device),
                    max_new_tokens=max(1, min(_MOST_WRITTEN, self._most - len(read))),
                    do_sample=False,
                    pad_token_id=self._tokenizer.eos_token_id,
                    eos_token_id=self._tokenizer.eos_token_id,
                )
            yield self._teacher.decode(written[0, len(read) :].tolist())

    def _save_adapter(self) -> None:
        save_adapter(self._folder / "adapter", self._adapters, self._config)
        checks = [vars(check) for check in self._progress.checks]
        said = json.dumps(self._provenance() | {"checks": checks}, indent=1)
        write_file(self._folder / "progress.json", said.encode())

    def _provenance(self) -> dict[str, Any]:
        progress = self._progress
        last = progress.checks[-1] if progress.checks else None
        return {
            "experiment": self._experiment.model_dump(mode="json"),
            "tables": {str(self._experiment.data.train): self._corpus.sha256},
            "crystals": self._crystals,
            "steps": progress.step,
            "epochs": progress.lessons / self._crystals,
            "words": progress.words,
            "training_seconds": progress.seconds,
            "validation_nats_per_word": last.validation if last else None,
            "trained_parameters": sum(each.numel() for each in self._learner.parameters),
            "machine": f"{platform.machine()}, {self._device}, torch {torch.__version__}",
        }


def _adapter_of(experiment: Experiment) -> AdapterConfig:
    if experiment.adapter is None:
        raise InvalidFieldError("the experiment has no section [adapter]", field="adapter")
    return experiment.adapter
