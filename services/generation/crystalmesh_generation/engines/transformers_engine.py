"""Writing with transformers' Llama: on any device, ready in a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from crystalmesh_generation.engines.decoder import CachedLlama
from crystalmesh_generation.engines.engine import TextOrder, Written
from crystalmesh_generation.engines.regression import crystal_values
from crystalmesh_generation.engines.sampling import choose
from crystalmesh_generation.engines.text import Text
from crystalmesh_generation.grammar.automaton import Grammar
from crystalmesh_generation.language.words import CRYSTAL
from crystalmesh_generation.model.files import LoadedModel, load_model

DEFAULT_CAPACITY = 64
_READ_WORDS = 512  # of prompts in one step, so that texts under way do not wait for long
_WORTH_COPYING = 8  # words that two prompts have in common


def transformers_engine(
    folder: Path, *, device: str = "cpu", threads: int | None = None, capacity: int = DEFAULT_CAPACITY
) -> TransformersEngine:
    """An engine with the model of a folder, of full precision on CPUs and bfloat16 elsewhere.

    `threads` are those of torch in this whole process. Raises DataCorruptError for a folder without a model
    and ModelFailedError for a model that the engine does not know.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    return TransformersEngine(load_model(folder, device=device, dtype=dtype), capacity=capacity)


class TransformersEngine:
    """An `Engine`. Texts join and leave at any step; what one has read, others with a like prompt copy."""

    def __init__(self, loaded: LoadedModel, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._model = loaded.model
        self._llama = CachedLlama(loaded.model.language, capacity)
        self._grammar = Grammar(loaded.tokenizer)
        self._crystal = loaded.tokenizer.ids[CRYSTAL]
        self._waiting: dict[int, Text] = {}
        self._slots: list[int | None] = [None] * capacity  # the key of the text in each
        self._texts: dict[int, Text] = {}  # those in slots
        self._read = np.full((capacity, self._llama.positions), -1)  # the words that each slot has read
        words = loaded.model.language.config.vocab_size
        self._masks = np.zeros((capacity, words), dtype=bool)
        self._known = len(loaded.tokenizer)

    @property
    def capacity(self) -> int:
        return len(self._slots)

    def add(self, key: int, order: TextOrder) -> None:
        """Take on a text.

        Raises ValueError for a key in use or a prompt that fills the model's positions, and
        ContradictoryTargetError for rules that no crystal obeys.
        """
        if key in self._waiting or key in self._texts:
            raise ValueError(f"a text {key} is being written already")
        self._waiting[key] = Text(order, self._grammar, self._crystal, self._llama.positions)

    def drop(self, key: int) -> None:
        self._waiting.pop(key, None)
        if self._texts.pop(key, None) is not None:
            self._slots[self._slots.index(key)] = None

    def step(self) -> Mapping[int, Written]:
        self._seat()
        self._close_ranks()
        keys = [key for key in self._slots if key is not None]
        if not keys:
            return {}
        texts = [self._texts[key] for key in keys]
        last, places = [text.last for text in texts], [text.last_place for text in texts]
        self._read[np.arange(len(keys)), places] = last
        device = self._llama.device
        logits = self._llama.next(torch.tensor(last, device=device), torch.tensor(places, device=device))
        masks = self._masks[: len(keys)]
        for row, text in zip(masks, texts, strict=True):
            row[: self._known] = text.mask()
        numbers = torch.tensor(
            [(text.order.sampling.temperature, text.order.sampling.top_p, text.random) for text in texts],
            device=device,
        )
        with torch.inference_mode():
            chosen = choose(logits, torch.from_numpy(masks).to(device), *numbers.unbind(1))
        written = {
            key: text.write(word, found)
            for key, text, word, found in zip(
                keys, texts, chosen.words, chosen.log_probabilities, strict=True
            )
        }
        for key, each in written.items():
            if each.finished:
                self.drop(key)
        return written

    def values(self, crystals: Sequence[Sequence[int]]) -> Sequence[Mapping[str, float]]:
        return crystal_values(self._model, crystals)

    def close(self) -> None:
        self._waiting.clear()
        self._texts.clear()
        self._slots = [None] * self.capacity

    def _seat(self) -> None:
        """Give free slots to texts that wait, as many as can be read in reasonable time."""
        room = _READ_WORDS
        for slot, seated in enumerate(self._slots):
            if seated is not None:
                continue
            if room <= 0 or not self._waiting:
                break
            key, text = next(iter(self._waiting.items()))
            del self._waiting[key]
            self._slots[slot], self._texts[key] = key, text
            room -= self._read_prompt(slot, text.order.prompt)

    def _read_prompt(self, slot: int, prompt: tuple[int, ...]) -> int:
        """Read a prompt but for its last word, and say how many words were new."""
        words = np.array(prompt[:-1], dtype=np.int64)
        common = np.cumprod(self._read[:, : len(words)] == words, axis=1).sum(axis=1)
        source = int(common.argmax())
        start = int(common[source])
        if source != slot and start > max(int(common[slot]), _WORTH_COPYING):
            self._llama.copy(source, slot, start)
        else:
            start = int(common[slot])
        if start < len(words):
            self._llama.read(slot, torch.tensor(words[start:], device=self._llama.device), start)
        self._read[slot, : len(words)] = words
        self._read[slot, len(words) :] = -1
        return len(words) - start

    def _close_ranks(self) -> None:
        """Move texts from the last slots to free ones before them: all slots up to the last are computed."""
        seated = [slot for slot, key in enumerate(self._slots) if key is not None]
        for slot in range(len(seated)):
            if self._slots[slot] is not None:
                continue
            source = seated.pop()
            key = self._slots[source]
            if key is not None:
                self._llama.copy(source, slot, self._texts[key].last_place)
            self._read[slot] = self._read[source]
            self._slots[slot], self._slots[source] = key, None
