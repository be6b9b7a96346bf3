from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.training.conversations import Conversations
from crystalmesh_generation.training.experiment import LessonConfig
from crystalmesh_generation.transitions.answers import Answer
from crystalmesh_generation.transitions.written import Questions, WrittenTransitions
from tests.generation.training.corpora import salts

MODEL = "some-model"
CORPUS = salts(2, 6)


def answers(text: str, *, fault: str = "", rows: tuple[int, ...] = (2, 3)) -> dict[str, Answer]:
    """Answers about the pairs of some targets."""
    keys = [Questions(CORPUS, MODEL).of(pair).key for row in rows for pair in CORPUS.pairs[row]]
    return {key: Answer(key, MODEL, text, fault) for key in keys}


def test_a_question_tells_both_materials() -> None:
    """Formula, properties and structure of each, and what is to be said of the way between them."""
    prompt = Questions(CORPUS, MODEL).of(CORPUS.pairs[3][0])
    source, target = prompt.text.split("Target:")
    assert "LiBr; space group 225; band gap 8.400 eV" in source
    assert "LiI; space group 225; band gap 8.100 eV" in target
    for each in (source, target):
        assert "rock salt" in each
        assert "octahedron of 6" in each
    for asked in ("replace", "stoichiometry", "symmetry", "strain", "coordination", "reason"):
        assert asked in source
    assert "atoms in the primitive cell" not in prompt.text


def test_an_answer_belongs_to_one_question_and_one_model() -> None:
    """Another pair or another model is another key; the same is the same in every process."""
    keys = {Questions(CORPUS, MODEL).of(pair).key for pairs in CORPUS.pairs.values() for pair in pairs}
    assert len(keys) == 8
    assert Questions(CORPUS, "other").of(CORPUS.pairs[2][0]).key not in keys
    assert Questions(salts(2, 6), MODEL).of(CORPUS.pairs[2][0]).key in keys


def test_a_teacher_takes_what_was_written_and_the_analysers_text_otherwise() -> None:
    """Where there is no answer, or one with a fault, nothing changes; the draws are the same anyway."""
    plain = Conversations(CORPUS, LessonConfig())
    written = answers("Iodine takes the sites of bromine.") | answers("", fault="empty", rows=(3,))
    told = Conversations(
        replace(CORPUS, transitions=WrittenTransitions(CORPUS, MODEL, written)), LessonConfig()
    )
    for row in CORPUS.pairs:
        pair = CORPUS.pairs[row][0]
        old, new = (
            each.conversation(pair, np.random.default_rng(row), transition=True) for each in (plain, told)
        )
        assert replace(new, transition="") == replace(old, transition="")
        assert (new.transition == "Iodine takes the sites of bromine.") == (row == 2)
        assert (new == old) == (row != 2)


def test_our_own_model_takes_transitions_in_its_own_words_only() -> None:
    """The error names words that it does not know, and what to do."""
    WrittenTransitions(CORPUS, MODEL, answers("Br becomes I ; Fm-3m kept")).require_our_words()
    with pytest.raises(InvalidFieldError, match=r"'Iodine'.*\[adapter\]"):
        WrittenTransitions(CORPUS, MODEL, answers("Iodine becomes Br ; hence")).require_our_words()


@pytest.mark.parametrize("found", [{}, answers("", fault="empty"), {"k": Answer("k", "other", "text")}])
def test_transitions_that_nobody_wrote_are_missed(found: dict[str, Answer]) -> None:
    """Instead of training on the analyser's texts without a word."""
    with pytest.raises(InvalidFieldError, match="--transitions-only"):
        WrittenTransitions(CORPUS, MODEL, found)


def test_the_command_asks_an_endpoint_for_the_pairs_of_its_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--transitions-only` fills the folder of the corpus, and does not train."""
    from crystalmesh_generation.training.experiment import Experiment
    from crystalmesh_generation.transitions.answers import FILE, read_answers
    from crystalmesh_generation.transitions.cli import write_transitions
    from tests.common.runtime.chat_server import chatting, saying
    from tests.property.crystals import write_table

    write_table(tmp_path / "salts.parquet", [CORPUS.entries[row].crystal for row in range(6)], {})
    with chatting(lambda _: saying("Some way.")) as server:
        experiment = Experiment.model_validate(
            {
                "name": "salts",
                "data": {"train": "salts.parquet", "validation": None, "hull": None, "references": 1},
                "budget": {"steps": 1},
                "transitions": {"base_url": server.url, "model": MODEL, "key_variable": ""},
            }
        )
        write_transitions(experiment, tmp_path, tmp_path / "corpus")
        write_transitions(experiment, tmp_path, tmp_path / "corpus")
    written = read_answers(tmp_path / "corpus" / FILE)
    assert len(written) == len(server.asked) >= 6
    assert f"0 transitions written, {len(written)} were there" in capsys.readouterr().out
