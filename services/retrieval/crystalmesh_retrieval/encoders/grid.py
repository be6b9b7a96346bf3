"""Weights on a grid of eight bits: small integers times one scale a row, exact as such integers.

A scale has four significant bits, so that the weights are exact in float16, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MOST = 127
_SCALE_BITS = 4
_TRIED = 3
"""Scales that rounded weights may have, from the smallest: their largest may have become smaller."""
_TOLERANCE = 1e-3


def rounded_to_grid(weights: Tensor) -> Tensor:
    """The nearest weights (out, in) on the grid, in float32; weights on it stay as they are.

    The largest change is half a step: 1/254 of a row's largest weight, or a little more.
    """
    scales = grid_scales(weights)
    return (weights.float() / scales[:, None]).round() * scales[:, None]


def on_grid(weights: Tensor) -> bool:
    """Whether all weights (out, in) are on the grid."""
    return bool(_distance(weights.float(), grid_scales(weights)).max() < _TOLERANCE)


def grid_scales(weights: Tensor) -> Tensor:
    """The step of each row (out,), in float32: of the grid that it is on, or of the finest that holds it."""
    weights = weights.float()
    smallest = weights.abs().amax(dim=1).clamp(min=1e-30) / _MOST
    mantissa, exponent = torch.frexp(smallest)  # mantissa in [0.5, 1)
    steps = torch.ceil(mantissa * (1 << _SCALE_BITS))
    found = torch.ldexp(steps, exponent - _SCALE_BITS)
    is_off = _distance(weights, found) >= _TOLERANCE
    for more in range(1, _TRIED):
        coarser = torch.ldexp(steps + more, exponent - _SCALE_BITS)
        fits = is_off & (_distance(weights, coarser) < _TOLERANCE)
        found, is_off = torch.where(fits, coarser, found), is_off & ~fits
    return found


def _distance(weights: Tensor, scales: Tensor) -> Tensor:
    """How far the farthest weight of each row is from the grid, in steps, (out,)."""
    steps = weights / scales[:, None]
    return (steps - steps.round()).abs().amax(dim=1)
