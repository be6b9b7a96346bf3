"""What the regression head says of crystals, many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from crystalmesh_generation.model.dual_head import DualHeadModel

_AT_ONCE = 64
_BEFORE_CRYSTAL = 2  # `<s> <crystal>`


def crystal_values(model: DualHeadModel, crystals: Sequence[Sequence[int]]) -> list[Mapping[str, float]]:
    """Values in the properties' units of crystals, each `<s> <crystal> ALX <facts>`, by property."""
    found: list[Mapping[str, float]] = []
    for start in range(0, len(crystals), _AT_ONCE):
        found += _values(model, crystals[start : start + _AT_ONCE])
    return found


@torch.inference_mode()
def _values(model: DualHeadModel, crystals: Sequence[Sequence[int]]) -> list[Mapping[str, float]]:
    names = [scale.name for scale in model.regression.scales]
    if not names:
        return [{} for _ in crystals]
    words = [torch.tensor(crystal, device=model.device) for crystal in crystals]
    # What follows a word does not change what is made of it, so the padding needs no mask.
    padded = pad_sequence(words, batch_first=True)  # (crystals, longest)
    hidden = model.language.model(input_ids=padded, use_cache=False).last_hidden_state
    first = torch.arange(len(words), device=model.device) * padded.shape[1]
    last = first + torch.tensor([len(each) - 1 for each in words], device=model.device)
    spans = torch.stack([first + _BEFORE_CRYSTAL, last], dim=1)
    values = model.regression.in_units(model.regression(hidden.flatten(0, 1), spans))
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]
