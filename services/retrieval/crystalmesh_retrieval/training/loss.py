"""NT-Xent: the normalized, temperature-scaled cross entropy of contrastive learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def nt_xent(
    properties: Tensor,
    structures: Tensor,
    temperature: float,
    *,
    negatives: Literal["across", "both"] = "across",
    same: Tensor | None = None,
) -> Tensor:
    """The loss of pairs of unit vectors (n, d), row i with row i; a scalar.

    Each vector is to find its partner: `across` among the n vectors of the other tower, `both` among the
    2n - 1 vectors other than itself (SimCLR's). Where `same` (n, n) says that two materials cannot be told
    apart, they are no negatives of each other.
    """
    n = len(properties)
    across = properties @ structures.T / temperature  # (n, n)
    target = torch.arange(n, device=across.device)
    excluded = torch.zeros_like(across) if same is None else _excluded(same, across)
    if negatives == "across":
        rows = across + excluded
        columns = across.T + excluded.T
    else:
        itself = torch.full((n,), float("-inf"), device=across.device, dtype=across.dtype).diag()

        rows = torch.cat([across + excluded, properties @ properties.T / temperature + excluded + itself], 1)
        columns = torch.cat(
            [across.T + excluded.T, structures @ structures.T / temperature + excluded + itself], 1
        )
    return (cross_entropy(rows, target) + cross_entropy(columns, target)) / 2


def same_texts(texts: Sequence[str], device: torch.device) -> Tensor:
    """Which of some texts are equal, (n, n)."""
    numbers: dict[str, int] = {}
    of = torch.tensor([numbers.setdefault(text, len(numbers)) for text in texts], device=device)
    return of[:, None] == of[None, :]


def _excluded(same: Tensor, like: Tensor) -> Tensor:
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    return torch.zeros_like(like).masked_fill(others, float("-inf"))
