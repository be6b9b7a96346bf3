"""The choice of the next word of each text, all texts in few operations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crystalmesh_common.runtime.errors import ModelFailedError

_LIKELY = 64  # words that are sorted first; what top_p keeps is nearly always among them


@dataclass(frozen=True, eq=False)
class Chosen:
    """A word for each text, and what the model thought of it: its logarithmic probability before any rule."""

    words: list[int]
    log_probabilities: list[float]


def choose(logits: Tensor, allowed: Tensor, temperatures: Tensor, top_ps: Tensor, randoms: Tensor) -> Chosen:
    """A word of each row of logits (texts, words) among those `allowed`; at a temperature of 0 the likeliest.

    `randoms` (texts,) in [0, 1) alone decide which. Raises ModelFailedError for logits that are no numbers.
    """
    norms = logits.logsumexp(-1)
    if not bool(torch.isfinite(norms).all()):
        raise ModelFailedError("the model's logits are not finite")
    open_logits = logits.masked_fill(~allowed, -torch.inf)
    likeliest = open_logits.argmax(-1)
    greedy = temperatures == 0
    shares = (open_logits / torch.where(greedy, 1.0, temperatures)[:, None]).softmax(-1)
    if bool((top_ps < 1).any()):
        shares = torch.where(shares >= _least_share(shares, top_ps)[:, None], shares, 0.0)
    cumulated = shares.cumsum(-1)  # (texts, words)
    drawn = torch.searchsorted(cumulated, randoms[:, None] * cumulated[:, -1:], right=True)
    drawn = drawn.clamp(max=logits.shape[1] - 1)
    # Rounding may lead past the last word that may follow, or on a device that sums in parts, beside one.
    drawn = torch.where(shares.gather(1, drawn) > 0, drawn, likeliest[:, None])[:, 0]
    words = torch.where(greedy, likeliest, drawn)
    found = logits.gather(1, words[:, None])[:, 0] - norms
    return Chosen(words.tolist(), found.tolist())


def _least_share(shares: Tensor, top_ps: Tensor) -> Tensor:
    """The smallest probability (texts,) among the fewest words that together have `top_ps` or more."""
    count = min(_LIKELY, shares.shape[1])
    likely = shares.topk(count).values
    if bool(((likely.sum(-1) < top_ps) & (top_ps < 1)).any()):
        likely = shares.sort(descending=True).values
    before = likely.cumsum(-1) - likely
    kept = (before < top_ps[:, None]).sum(-1).clamp(min=1)
    least = likely.gather(1, kept[:, None] - 1)[:, 0]
    return torch.where(top_ps < 1, least, 0.0)
