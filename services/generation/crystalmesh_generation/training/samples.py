"""What a model writes while it is trained, so that one can see what it has learnt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from crystalmesh_generation.language.templates import crystal_prompt, transition_prompt
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import CRYSTAL
from crystalmesh_generation.model.dual_head import DualHeadModel
from crystalmesh_generation.training.conversations import Conversation, Conversations

_SHOWN = 2
_WORDS = 100


def shown(teacher: Conversations) -> Iterator[Conversation]:
    """A few conversations, the same every time, from the first pairs of some targets."""
    for row in teacher.rows[:: max(1, len(teacher.rows) // _SHOWN)][:_SHOWN]:
        random = np.random.default_rng([0, row])
        yield teacher.conversation(teacher.first_pair(row), random, transition=True)


def write_samples(model: DualHeadModel, tokenizer: WordTokenizer, teacher: Conversations) -> Iterator[str]:
    """What the model writes for a few targets: a transition, and the crystal; always the likeliest word."""
    crystal = tokenizer.ids[CRYSTAL]
    for each in shown(teacher):
        read = tokenizer.encode(transition_prompt(each.opening))
        transition = tokenizer.decode(_written(model, read, crystal))
        read = tokenizer.encode(crystal_prompt(each.opening, each.known, transition))
        yield f"{transition} {CRYSTAL} {tokenizer.decode(_written(model, read, tokenizer.end))}"


def _written(model: DualHeadModel, read: list[int], end: int) -> list[int]:
    """The likeliest words up to the one that ends the text."""
    most = int(model.language.config.max_position_embeddings)
    with torch.inference_mode():
        written = model.language.generate(  # type: ignore[misc]  # its own self is not of its own type
            torch.tensor([read], device=model.device),
            attention_mask=torch.ones(1, len(read), dtype=torch.int64, device=model.device),
            max_length=min(most, len(read) + _WORDS),
            do_sample=False,
            pad_token_id=end,
            eos_token_id=end,
        )
    words: list[int] = written[0, len(read) :].tolist()
    return words[: words.index(end)] if end in words else words
