"""How wrong a model is: about the next word, and about values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

from crystalmesh_generation.model.dual_head import DualHeadModel
from crystalmesh_generation.training.batches import LessonBatch


@dataclass(frozen=True, eq=False)
class Losses:
    """Sums over a batch, with what they are to be divided by."""

    words: Tensor  # (), weighted surprise of words, in nats
    word_weight: Tensor  # ()
    values: Tensor  # (), absolute errors in standard deviations
    known_values: Tensor  # ()


def surprise(language: LlamaForCausalLM, batch: LessonBatch) -> tuple[Tensor, Tensor]:
    """The weighted surprise of a batch's words in nats, summed, and what the last layer made of them.

    Only words that have a weight cost logits.
    """
    hidden: Tensor = language.model(input_ids=batch.words, use_cache=False)[0]  # (l, w, width)
    weights = batch.weights[:, 1:]
    asked = weights > 0
    logits = language.lm_head(hidden[:, :-1][asked])  # (asked, vocabulary)
    nats = functional.cross_entropy(logits.float(), batch.words[:, 1:][asked], reduction="none")
    return (nats * weights[asked]).sum(), hidden


def losses(model: DualHeadModel, batch: LessonBatch) -> Losses:
    """Both losses of a batch."""
    words, hidden = surprise(model.language, batch)
    values = hidden.new_zeros((), dtype=torch.float32)
    known = batch.values.new_zeros(())
    if len(batch.spans):
        labels = torch.stack(
            [scale.standardized(batch.values[:, n]) for n, scale in enumerate(model.regression.scales)], dim=1
        )
        present = torch.isfinite(labels)
        found = model.regression(hidden.flatten(0, 1), batch.spans)
        values = (found - labels.nan_to_num())[present].abs().sum()
        known = present.sum()
    return Losses(words, batch.weights[:, 1:].sum(), values, known)
