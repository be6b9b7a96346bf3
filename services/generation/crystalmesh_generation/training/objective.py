"""How wrong a model is: about the next word, and about values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from crystalmesh_generation.model.dual_head import DualHeadModel
from crystalmesh_generation.training.batches import LessonBatch


@dataclass(frozen=True, eq=False)
class Losses:
    """Sums over a batch, with what they are to be divided by."""

    words: Tensor  # (), weighted surprise of words, in nats
    word_weight: Tensor  # ()
    values: Tensor  # (), absolute errors in standard deviations
    known_values: Tensor  # ()


def losses(model: DualHeadModel, batch: LessonBatch) -> Losses:
    """Both losses of a batch; only words that have a weight cost logits."""
    hidden: Tensor = model.language.model(input_ids=batch.words, use_cache=False)[0]  # (l, w, width)
    weights = batch.weights[:, 1:]
    asked = weights > 0
    logits = model.language.lm_head(hidden[:, :-1][asked])  # (asked, vocabulary)
    surprise = functional.cross_entropy(logits.float(), batch.words[:, 1:][asked], reduction="none")
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
    return Losses((surprise * weights[asked]).sum(), weights.sum(), values, known)
