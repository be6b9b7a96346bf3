from __future__ import annotations

import numpy as np

from crystalmesh_generation.language.alx import read_alx
from crystalmesh_generation.language.layout import laid_out
from crystalmesh_generation.training.conversations import Conversations
from crystalmesh_generation.training.experiment import LessonConfig
from tests.generation.training.corpora import salts


def test_a_conversation_is_laid_out_in_lines() -> None:
    """Marks have lines of their own, ALX its usual lines, and sentences their punctuation."""
    alx = "4.0 4.0 4.0 60 60 60 Na 0.00 0.00 0.00"
    prompt = f"<s> <target> with K ; cubic <reference> Na 1 ; Fm-3m <crystal> {alx}"
    completion = "Na becomes K ; Fm-3m kept <crystal> 5.0 5.0 5.0 60 60 60 K 0.00 0.00 0.00"
    read, said = laid_out(f"{prompt} <transition>", completion)
    assert read == (
        "<target>\nwith K; cubic\n<reference>\nNa 1; Fm-3m\n<crystal>\n4.0 4.0 4.0\n60 60 60\n"
        "Na 0.00 0.00 0.00\n<transition>\n"
    )
    assert said == "Na becomes K; Fm-3m kept\n<crystal>\n5.0 5.0 5.0\n60 60 60\nK 0.00 0.00 0.00"


def test_every_kind_of_conversation_is_laid_out_without_a_loss() -> None:
    """The prompt is what it is without its completion, and the crystal is still the crystal."""
    corpus = salts()
    conversations = Conversations(corpus, LessonConfig())
    for number in range(60):
        prompt, completion = conversations.told(number % 16, np.random.default_rng(number))
        read, said = laid_out(prompt, completion)
        assert laid_out(prompt) == (read, "")
        assert read.endswith(">\n")
        if not read.endswith("<facts>\n"):
            alx = (read + said).split("<crystal>\n")[-1]
            before = (prompt + " " + completion).split("<crystal>")[-1]
            assert alx.split() == before.split()
            assert len(alx.splitlines()) == 2 + len(read_alx(alx, max_atoms=2))
