"""Low-rank adapters (LoRA): beside each frozen linear layer, two thin matrices that are learnt.

A layer W with an adapter gives Wx + alpha / rank · BAx. B begins at zero, and the model with it as it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from crystalmesh_generation.training.experiment import AdapterConfig

Adapters = Mapping[str, "LowRankLinear"]
"""By the names that their layers have in the model: `model.layers.0.self_attn.q_proj`."""


class LowRankLinear(nn.Module):
    """A frozen linear layer and its adapter, whose weights are in full precision."""

    def __init__(self, base: nn.Linear, config: AdapterConfig, random: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.lora_a = nn.Parameter(torch.empty(config.rank, base.in_features))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, config.rank))
        self.dropout = nn.Dropout(config.dropout)
        self.scaling = config.alpha / config.rank
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5), generator=random)
        self.to(base.weight.device)

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) to (…, out), in the precision of the frozen layer."""
        kept: Tensor = self.base(inputs)
        inner = nn.functional.linear(self.dropout(inputs.to(self.lora_a.dtype)), self.lora_a)
        return kept + (nn.functional.linear(inner, self.lora_b) * self.scaling).to(kept.dtype)

    def merged(self) -> nn.Linear:
        """The frozen layer with the adapter added to its weights, for good."""
        with torch.no_grad():
            change = self.scaling * (self.lora_b @ self.lora_a)
            self.base.weight.copy_((self.base.weight.float() + change).to(self.base.weight.dtype))
        return self.base


def add_adapters(model: LlamaForCausalLM, config: AdapterConfig, seed: int) -> dict[str, LowRankLinear]:
    """Freeze a model, and put an adapter beside each linear layer of its attention and MLPs."""
    model.requires_grad_(requires_grad=False)
    random = torch.Generator().manual_seed(seed)
    layers = [
        (name, each)
        for name, each in model.named_modules()
        if name.startswith("model.layers.") and isinstance(each, nn.Linear)
    ]
    adapters = {name: LowRankLinear(each, config, random) for name, each in layers}
    for name, adapter in adapters.items():
        _put(model, name, adapter)
    return adapters


def merge_adapters(model: LlamaForCausalLM, adapters: Adapters) -> None:
    """Turn the model back into a plain Llama that does the same; the adapters are used up."""
    for name, adapter in adapters.items():
        _put(model, name, adapter.merged())


def _put(model: LlamaForCausalLM, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
