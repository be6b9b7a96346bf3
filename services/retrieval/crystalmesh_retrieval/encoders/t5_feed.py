"""The feed-forward half of a T5 layer, two thirds of all arithmetic: in floats, or in integers of eight bits.

In integers a token's row has one scale, which passes through the ReLU and is made good at the end, so that
texts do not influence each other. Weights that lie on a grid of eight bits (see `grid`) lose nothing.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from crystalmesh_retrieval.encoders.grid import grid_scales
from crystalmesh_retrieval.encoders.t5_shape import T5Shape

_BLOCK_ROWS = 256
"""Rows that go through together: their hidden layer, 1 MB, stays in the cache of a core."""
_STEP_ROWS = 32
"""Numbers of rows are rounded up to this, because the kernels are compiled for each number."""


_TINY = 1e-20


class Feed(Protocol):
    """What a layer adds to each token by itself."""

    def add_to(self, x: Tensor) -> None:
        """Add it to the residual stream (rows, width), in place."""
        ...


class FloatFeed:
    """In the numbers that the weights have."""

    def __init__(self, shape: T5Shape, norm: Tensor, rise: Tensor, fall: Tensor) -> None:
        """Weights as they are stored: norm (width,), rise (hidden or twice, width), fall (width, hidden)."""
        self._shape = shape
        self._rise = (rise.float() * norm.float()).t().to(rise.dtype).contiguous()  # (width, hidden)
        self._fall = fall.t().contiguous()

    def add_to(self, x: Tensor) -> None:
        hidden = torch.rms_norm(x, (self._shape.width,), None, self._shape.epsilon) @ self._rise
        x.addmm_(self._activated(hidden), self._fall)

    def _activated(self, x: Tensor) -> Tensor:
        gate, factor = x.chunk(2, dim=-1) if self._shape.is_gated else (x, None)
        match self._shape.activation:
            case "relu":
                gate = gate.relu_()
            case "silu":
                gate = functional.silu(gate)
            case _:
                gate = functional.gelu(gate, approximate="tanh")
        return gate if factor is None else gate * factor


class IntegerFeed:
    """In integers of eight bits, for layers with a plain ReLU on a CPU that multiplies such integers."""

    def __init__(self, shape: T5Shape, norm: Tensor, rise: Tensor, fall: Tensor) -> None:
        """Weights as they are stored, in float32; see `FloatFeed`."""
        self._shape = shape
        self._norm = norm
        self._rise = _Product(rise)
        self._fall = _Product(fall)

    def add_to(self, x: Tensor) -> None:
        for block in torch.split(x, _BLOCK_ROWS):
            self._add_to_block(block)

    def _add_to_block(self, x: Tensor) -> None:
        rows = len(x)
        normed = torch.rms_norm(x, (self._shape.width,), self._norm, self._shape.epsilon)
        peaks = normed.abs().amax(dim=-1, keepdim=True).clamp_(min=_TINY)  # (rows, 1)
        coded = _coded(normed.mul_(127.0 / peaks).add_(128.5))
        hidden = self._rise(coded, zero=128, activation="relu")[:rows]  # (rows, hidden), times 127 / peak
        tops = hidden.amax(dim=-1, keepdim=True).clamp_(min=_TINY)  # (rows, 1)
        added = self._fall(_coded(hidden.mul_(255.0 / tops).add_(0.5)), zero=0)[:rows]
        x.addcmul_(added, peaks * tops, value=1 / (127.0 * 255.0))


class _Product:
    """Rows of bytes times weights of eight bits."""

    def __init__(self, weights: Tensor) -> None:
        """Weights (out, in); those off the grid are rounded to it."""
        self._scales = grid_scales(weights)  # (out,)
        codes = (weights / self._scales[:, None]).round_().clamp_(-127, 127).to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(codes, None)
        self._zeros = torch.zeros(len(weights), dtype=torch.int64)

    def __call__(self, rows: Tensor, *, zero: int, activation: str = "none") -> Tensor:
        """(rows, in) of bytes, less `zero`, to (rows, out) in float32."""
        return torch.ops.onednn.qlinear_pointwise(  # type: ignore[no-any-return]
            rows,
            1.0,
            zero,
            self._packed,
            self._scales,
            self._zeros,
            None,
            1.0,
            0,
            torch.float32,
            activation,
            [],
            "none",
        )


def _coded(rows: Tensor) -> Tensor:
    """Rows of numbers from 0 to 256 as bytes, cut off; and some more rows at the end."""
    count = len(rows)
    coded = torch.empty(-(-count // _STEP_ROWS) * _STEP_ROWS, rows.shape[1], dtype=torch.uint8)
    coded[:count] = rows.to(torch.int16)  # straight to bytes is a third as fast
    coded[count:] = 0
    return coded
