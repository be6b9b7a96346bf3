"""A Llama with a second head: the first writes the next word, the second tells what a crystal is like.

Words go in, and after each the language head says which may follow. Where a crystal has been read whole
(at `<facts>`), the regression head pools what the last layer made of the crystal's words and gives one
value per property, in standard deviations from the mean of its training set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from crystalmesh_generation.model.values import PropertyScale


@dataclass(frozen=True)
class Size:
    """How large a model is; about 10.5M parameters unless changed."""

    width: int = 320
    layers: int = 8
    heads: int = 5
    key_value_heads: int | None = None  # fewer make writing faster; None: as many as heads
    inner: int = 832
    positions: int = 512  # words of the longest conversation

    def config(self, words: int, *, pad: int, begin: int, end: int) -> LlamaConfig:
        """The same in the terms of Hugging Face's Llama, for a vocabulary with these special words."""
        return LlamaConfig(
            vocab_size=words,
            hidden_size=self.width,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads or self.heads,
            max_position_embeddings=self.positions,
            tie_word_embeddings=True,
            pad_token_id=pad,
            bos_token_id=begin,
            eos_token_id=end,
        )


class RegressionHead(nn.Module):
    """Values of a crystal from what the last layer made of its words."""

    def __init__(self, width: int, scales: tuple[PropertyScale, ...]) -> None:
        super().__init__()
        self.scales = scales
        self.layers = nn.Sequential(
            nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, max(1, len(scales)))
        )

    def forward(self, hidden: Tensor, spans: Tensor) -> Tensor:
        """Values in standard deviations, (crystals, properties).

        `hidden` is (words, width), of any number of crystals one after the other; `spans` (crystals, 2) has
        where each begins and where it ends, at the `<facts>` that follows it.
        """
        sums = torch.nn.functional.pad(hidden.float().cumsum(0), (0, 0, 1, 0))
        first, last = spans[:, 0], spans[:, 1]
        mean = (sums[last + 1] - sums[first]) / (last + 1 - first)[:, None]
        pooled = torch.cat([mean, hidden[last].float()], dim=1)  # (crystals, 2 * width)
        values: Tensor = self.layers(pooled)[:, : len(self.scales)]
        return values

    def in_units(self, values: Tensor) -> Tensor:
        """The same in the properties' units; what cannot be negative is not."""
        columns = [scale.value(values[:, n]) for n, scale in enumerate(self.scales)]
        return torch.stack(columns, dim=1) if columns else values


class DualHeadModel(nn.Module):
    """Both heads on one body."""

    def __init__(self, language: LlamaForCausalLM, regression: RegressionHead) -> None:
        super().__init__()
        self.language = language
        self.regression = regression

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.language.device
