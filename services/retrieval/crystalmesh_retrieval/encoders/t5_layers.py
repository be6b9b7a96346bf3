"""A layer of a T5 encoder: what it reads of the tokens, and what it adds to them; here in floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from crystalmesh_retrieval.encoders.t5_shape import T5Shape


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """A layer's weights as they are stored: rows are what comes out."""

    attention_norm: Tensor  # (width,)
    qkv: Tensor  # (3 inner, width)
    out: Tensor  # (width, inner)
    feed_norm: Tensor  # (width,)
    rise: Tensor  # (hidden, or twice where it is gated, width)
    fall: Tensor  # (width, hidden)


def layer_weights(shape: T5Shape, weights: Mapping[str, Tensor], number: int) -> LayerWeights:
    """Those of one layer, by their names in `transformers`. Raises KeyError where one is missing."""
    prefix = f"encoder.block.{number}.layer."
    attention, feed = f"{prefix}0.SelfAttention.", f"{prefix}1.DenseReluDense."
    rise = ["wi_0", "wi_1"] if shape.is_gated else ["wi"]
    return LayerWeights(
        attention_norm=weights[f"{prefix}0.layer_norm.weight"],
        qkv=torch.cat([weights[f"{attention}{part}.weight"] for part in "qkv"]),
        out=weights[f"{attention}o.weight"],
        feed_norm=weights[f"{prefix}1.layer_norm.weight"],
        rise=torch.cat([weights[f"{feed}{part}.weight"] for part in rise]),
        fall=weights[f"{feed}wo.weight"],
    )


class Layer(Protocol):
    """What the network asks of a layer. The residual stream (rows, width) changes in place."""

    row_step: int
    """The number of rows is to be a multiple of this."""

    def projected(self, x: Tensor) -> Tensor:
        """Queries, keys and values of the stream, (rows, 3 inner)."""
        ...

    def add_read(self, x: Tensor, read: Tensor) -> None:
        """Add what the heads read, (rows or fewer, inner)."""
        ...

    def add_feed(self, x: Tensor) -> None:
        """Add the feed-forward half."""
        ...


class FloatLayer:
    """In floats, norms folded into the weights behind them."""

    row_step = 1

    def __init__(self, shape: T5Shape, weights: LayerWeights, *, device: str, dtype: torch.dtype) -> None:
        def placed(weight: Tensor) -> Tensor:
            return weight.t().to(device, dtype).contiguous()

        self._shape = shape
        self._qkv = placed(weights.qkv * weights.attention_norm)
        self._out = placed(weights.out)
        self._rise = placed(weights.rise * weights.feed_norm)
        self._fall = placed(weights.fall)

    def projected(self, x: Tensor) -> Tensor:
        return self._normed(x) @ self._qkv

    def add_read(self, x: Tensor, read: Tensor) -> None:
        x.addmm_(read, self._out)

    def add_feed(self, x: Tensor) -> None:
        x.addmm_(self._activated(self._normed(x) @ self._rise), self._fall)

    def _normed(self, x: Tensor) -> Tensor:
        return torch.rms_norm(x, (self._shape.width,), None, self._shape.epsilon)

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
