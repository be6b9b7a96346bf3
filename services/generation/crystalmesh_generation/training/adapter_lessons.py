"""Lessons for somebody else's language model: conversations in lines, in the pieces of its tokenizer."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerBase

from crystalmesh_generation.language.layout import laid_out
from crystalmesh_generation.training.conversations import Conversations
from crystalmesh_generation.training.lessons import Lesson


class TextTeacher:
    """Turns conversations into lessons whose completions, and nothing else, are to be learnt."""

    def __init__(self, conversations: Conversations, tokenizer: PreTrainedTokenizerBase) -> None:
        self._conversations = conversations
        self._tokenizer = tokenizer
        self._begin = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
        self._end = int(tokenizer.eos_token_id)

    def lesson(self, row: int, random: np.random.Generator) -> Lesson:
        """A lesson on the target of a row."""
        prompt, completion = laid_out(*self._conversations.told(row, random))
        read = self.read(prompt)
        said = [*self._pieces(completion), self._end]
        return Lesson([*read, *said], [0.0] * len(read) + [1.0] * len(said))

    def read(self, prompt: str) -> list[int]:
        """What the model is given; its completion is tokenized apart, as it is when the model writes it."""
        return [*self._begin, *self._pieces(prompt)]

    def decode(self, pieces: list[int]) -> str:
        """What the model wrote, on one line."""
        return " ".join(str(self._tokenizer.decode(pieces, skip_special_tokens=True)).split())

    def _pieces(self, text: str) -> list[int]:
        pieces: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return pieces
