"""One step of an adapter: gradients through a frozen Llama, clipped, and AdamW."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from crystalmesh_generation.training.adapters import Adapters
from crystalmesh_generation.training.batches import LessonBatch
from crystalmesh_generation.training.experiment import OptimizationConfig
from crystalmesh_generation.training.learning import take_step
from crystalmesh_generation.training.objective import surprise


class AdapterLearner:
    """A Llama with adapters, and the optimizer of those. No average is kept of so few weights."""

    def __init__(
        self,
        model: LlamaForCausalLM,
        adapters: Adapters,
        optimization: OptimizationConfig,
        *,
        low_precision: bool,
    ) -> None:
        self.model = model
        self._clip = optimization.clip
        self._low_precision = low_precision
        self.parameters: list[Tensor] = [
            each for adapter in adapters.values() for each in (adapter.lora_a, adapter.lora_b)
        ]
        self.average: list[Tensor] = []
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                self.parameters, lr=optimization.learning_rate, weight_decay=optimization.weight_decay
            )
        ]

    def step(self, batches: Sequence[LessonBatch], rate: float, seed: int) -> float:
        """Learn from one batch, given in parts; the mean loss before that. `seed` is of the dropout."""
        torch.manual_seed(seed)
        self.model.train()
        weight = max(1e-9, float(sum(batch.weights[:, 1:].sum() for batch in batches)))
        total = 0.0
        for batch in batches:
            loss = self._nats(batch) / weight
            torch.autograd.backward(loss)
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.parameters, self._clip)
        take_step(self.optimizers[0], rate)
        return total

    def examine(self, batches: Sequence[LessonBatch]) -> float:
        """The mean surprise of the words of lessons that are not learnt from."""
        self.model.train(mode=False)
        weight = max(1e-9, float(sum(batch.weights[:, 1:].sum() for batch in batches)))
        with torch.inference_mode():
            return sum(float(self._nats(batch)) for batch in batches) / weight

    def _nats(self, batch: LessonBatch) -> Tensor:
        device = self.model.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._low_precision):
            return surprise(self.model, batch.to(device))[0]
