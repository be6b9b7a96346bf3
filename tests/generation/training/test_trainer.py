"""Training: lessons, steps, and going on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from crystalmesh_common.crystal.distances import shortest_distance
from crystalmesh_common.runtime.errors import DataCorruptError, InvalidFieldError
from crystalmesh_generation.language.alx import read_alx, write_alx
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import CRYSTAL, UNKNOWN
from crystalmesh_generation.model.files import load_model
from crystalmesh_generation.training.augmentation import draw_setting
from crystalmesh_generation.training.batches import batches
from crystalmesh_generation.training.corpus import Corpus
from crystalmesh_generation.training.experiment import PROPERTIES, LessonConfig, experiment_of
from crystalmesh_generation.training.learning import rate_at
from crystalmesh_generation.training.lessons import Teacher
from crystalmesh_generation.training.trainer import CHECKPOINT, Report, Trainer
from tests.generation.training.salts import EXPERIMENT, corpora
from tests.property.crystals import random_crystal


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Corpus]:
    """The salts, paired."""
    return corpora(tmp_path_factory.mktemp("world"))


def run(world: tuple[Corpus, Corpus], folder: Path, **budget: object) -> list[Report]:
    """Train the small experiment in a folder, and what it told."""
    told: list[Report] = []
    experiment = EXPERIMENT.model_copy(update={"budget": EXPERIMENT.budget.model_copy(update=budget)})
    Trainer(experiment, *world, folder, told.append).run()
    return told


def test_a_lesson_is_a_conversation_in_our_words(world: tuple[Corpus, Corpus]) -> None:
    """Every kind of lesson has known words only, ends, and teaches its completion; crystals can be read."""
    tokenizer = WordTokenizer.of_words()
    teacher = Teacher(world[0], tokenizer, LessonConfig())
    random = np.random.default_rng(0)
    kinds = set()
    for number in range(120):
        lesson = teacher.lesson(teacher.rows[number % len(teacher.rows)], random)
        words = tokenizer.decode(lesson.words).split()
        kinds.add((words.count(CRYSTAL), "<transition>" in words, "<facts>" in words))
        assert UNKNOWN not in words
        assert words[0] == "<s>"
        assert words[-1] == "</s>"
        assert len(lesson.words) == len(lesson.weights)
        assert lesson.weights[-1] > 0
        last = words[len(words) - words[::-1].index(CRYSTAL) : -1]
        alx = last[: last.index("<facts>")] if "<facts>" in last else last
        assert len(read_alx(" ".join(alx), max_atoms=2)) == 2
        if lesson.span is not None:
            first, end = lesson.span
            assert words[first - 1] == CRYSTAL
            assert words[end] == "<facts>"
            assert len(lesson.values) == len(PROPERTIES)
    assert kinds == {(2, True, False), (2, False, False), (1, False, False), (1, False, True)}


def test_a_target_is_told_in_the_setting_of_its_reference(world: tuple[Corpus, Corpus]) -> None:
    """With an aligned reference, coordinates are copied: they differ from it by rounding only."""
    unvaried = LessonConfig(translated=1.0, permuted=1.0, turned=1.0)
    teacher = Teacher(world[0], WordTokenizer.of_words(), unvaried)
    for row in teacher.rows:
        pair = teacher.first_pair(row)
        if not pair.aligned:
            continue
        said = teacher.conversation(pair, np.random.default_rng(row), transition=True)
        given, written = read_alx(said.known, max_atoms=2), read_alx(said.crystal, max_atoms=2)
        offset = written.frac_coords - given.frac_coords
        assert np.abs(offset - np.rint(offset)).max() <= 0.011


def test_another_setting_is_the_same_crystal() -> None:
    """Moved, turned and reordered, distances between atoms stay."""
    for seed in range(20):
        crystal = random_crystal(seed)
        setting = draw_setting(
            len(crystal), LessonConfig(translated=1, permuted=1, turned=1), np.random.default_rng(seed)
        )
        other = setting.of(crystal)
        assert other.volume == pytest.approx(crystal.volume)
        assert shortest_distance(other) == pytest.approx(shortest_distance(crystal))
        assert write_alx(other)


def test_it_learns_and_goes_on_as_if_never_stopped(world: tuple[Corpus, Corpus], tmp_path: Path) -> None:
    """The loss falls; a run in two parts has the weights of a run in one."""
    whole = run(world, tmp_path / "whole")
    assert whole[-1].loss < whole[0].loss
    assert [report.step for report in whole if report.check] == [2, 4, 6]
    samples = next(report.check for report in reversed(whole) if report.check)
    assert samples is not None
    assert samples.samples
    # Stopped hard after step 5, whose work is lost: it goes on from the check at step 4.
    stopped = tmp_path / "stopped"

    def kill(report: Report) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(EXPERIMENT, *world, stopped, kill).run()
    again = run(world, stopped)
    assert [report.step for report in again] == [5, 6]
    first, second = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "stopped")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_trained_model_is_a_folder_that_others_read(world: tuple[Corpus, Corpus], tmp_path: Path) -> None:
    """Hugging Face's library reads the language model, ours both heads; the card says where it came from."""
    from transformers import AutoModelForCausalLM

    run(world, tmp_path, steps=2, checks=1)
    loaded = load_model(tmp_path / "model")
    words = torch.tensor([loaded.tokenizer.encode("<s> <target> <crystal> 5.6 5.6")])
    ours = loaded.model.language(words).logits
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model").float()(words).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    card = json.loads((tmp_path / "model" / "crystalmesh.json").read_text())
    assert card["provenance"]["crystals"] == 35
    assert {scale["name"] for scale in card["scales"]} == set(PROPERTIES)


def test_lessons_of_one_length_go_together(world: tuple[Corpus, Corpus]) -> None:
    """No batch is larger than allowed, none is lost, and padding has no weight."""
    teacher = Teacher(world[0], WordTokenizer.of_words(), LessonConfig())
    random = np.random.default_rng(1)
    lessons = [teacher.lesson(row, random) for row in teacher.rows]
    made = batches(lessons, most_words=400, pad=0)
    assert sum(len(batch.words) for batch in made) == len(lessons)
    assert all(batch.words.numel() <= 400 for batch in made)
    assert sum(float(batch.weights.sum()) for batch in made) == pytest.approx(
        sum(sum(lesson.weights) for lesson in lessons), rel=1e-5
    )
    assert all(float(batch.weights[batch.words == 0].sum()) == 0 for batch in made)


def test_the_rate_goes_up_stays_and_goes_down() -> None:
    """A share of the budget each."""
    plan = EXPERIMENT.optimization.model_copy(update={"warm_up": 0.1, "cool_down": 0.5, "learning_rate": 1.0})
    rates = [rate_at(spent, plan) for spent in (0.0, 0.05, 0.1, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0, 0.5, 1, 1, 0.5, 0])


def test_a_damaged_checkpoint_and_another_training(world: tuple[Corpus, Corpus], tmp_path: Path) -> None:
    """Damage is told; the checkpoint of another experiment is left alone by starting anew."""
    run(world, tmp_path, steps=1, checks=1)
    other = EXPERIMENT.model_copy(update={"seed": 7})
    told: list[Report] = []
    Trainer(
        other.model_copy(update={"budget": EXPERIMENT.budget.model_copy(update={"steps": 1})}),
        *world,
        tmp_path,
        told.append,
    ).run()
    assert [report.step for report in told] == [1]
    (tmp_path / CHECKPOINT).write_bytes(b"no tensors")
    with pytest.raises(DataCorruptError):
        run(world, tmp_path)


def test_the_shipped_experiment_is_sound() -> None:
    """It can be read by its bare name; a misspelt field is named."""
    assert experiment_of(Path("mp20")).model.width == 256
    with pytest.raises(InvalidFieldError, match="minute"):
        experiment_of(Path("mp20"), ("budget.minute=3",))
