"""One step of learning: gradients of both heads, clipped, Muon and AdamW, and a moving average."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crystalmesh_generation.model.dual_head import DualHeadModel
from crystalmesh_generation.training.batches import LessonBatch
from crystalmesh_generation.training.experiment import OptimizationConfig
from crystalmesh_generation.training.objective import losses

_OTHERS_RATE = 0.5
"""Embeddings, norms and the regression head learn at this share of the rate."""


class Learner:
    """A model with its optimizers and the moving average of its weights.

    The matrices of the layers are learnt by Muon, with steps as large as AdamW's; the rest by AdamW.
    """

    def __init__(
        self,
        model: DualHeadModel,
        optimization: OptimizationConfig,
        *,
        values_weight: float,
        low_precision: bool,
    ) -> None:
        self.model = model
        self._config = optimization
        self._values_weight = values_weight
        self._low_precision = low_precision
        self.parameters: list[Tensor] = [each for each in model.parameters() if each.requires_grad]
        inner = {id(each) for each in model.language.model.layers.parameters() if each.ndim == 2}
        matrices = [each for each in self.parameters if id(each) in inner]
        others = [each for each in self.parameters if id(each) not in inner]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices,
                lr=optimization.learning_rate,
                weight_decay=optimization.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(others, lr=optimization.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.average = [values.detach().clone() for values in self.parameters]

    def step(self, batches: Sequence[LessonBatch], rate: float) -> tuple[float, float]:
        """Learn from one batch, given in parts; the mean losses of its words and values before that."""
        word_weight = max(1e-9, float(sum(batch.weights[:, 1:].sum() for batch in batches)))
        known = max(1, int(sum(torch.isfinite(batch.values).sum() for batch in batches)))
        words = values = 0.0
        device = self.model.device
        for batch in batches:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._low_precision):
                found = losses(self.model, batch.to(device))
            total = found.words / word_weight + self._values_weight * found.values / known
            torch.autograd.backward(total)
            words += float(found.words.detach())
            values += float(found.values.detach())
        torch.nn.utils.clip_grad_norm_(self.parameters, self._config.clip)
        for optimizer, share in zip(self.optimizers, (1.0, _OTHERS_RATE), strict=True):
            take_step(optimizer, rate * share)
        return words / word_weight, values / known

    def follow(self, step: int) -> None:
        """Move the average towards the weights after step number `step`, faster in the beginning."""
        decay = min(self._config.average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - decay)

    def averaged(self, model: DualHeadModel) -> DualHeadModel:
        """Another model of the same kind, with the averaged weights."""
        with torch.no_grad():
            for parameter, average in zip(model.parameters(), self.average, strict=True):
                parameter.copy_(average)
        return model


def take_step(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Move the weights by their gradients, and forget those."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def rate_at(spent: float, optimization: OptimizationConfig) -> float:
    """The learning rate after a share of the budget: up, level, and down to zero."""
    up = min(1.0, spent / optimization.warm_up) if optimization.warm_up else 1.0
    down = min(1.0, (1 - spent) / optimization.cool_down) if optimization.cool_down else 1.0
    return optimization.learning_rate * min(up, max(0.0, down))
