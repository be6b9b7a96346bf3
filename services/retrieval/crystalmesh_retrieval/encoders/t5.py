"""The forward pass of a T5 encoder on a batch of texts, written for few ops and warm caches.

It equals `transformers`' to rounding. Three projections are one product, norms are folded into the weights
behind them, sums of the residual stream happen inside products, what the first layer's attention reads of a
token is looked up, and position biases are kept per length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from crystalmesh_retrieval.encoders.t5_layers import FloatLayer, Layer, LayerWeights, layer_weights
from crystalmesh_retrieval.encoders.t5_shape import T5Shape

_BIASES_KEPT = 64


class T5Network:
    """A T5 encoder with its mean over tokens."""

    def __init__(
        self,
        shape: T5Shape,
        weights: Mapping[str, Tensor],
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        make_layer: Callable[[int, LayerWeights], Layer] | None = None,
    ) -> None:
        """Weights by their names in `transformers`; layers are in floats unless others are made, by number.

        Raises KeyError where a weight is missing.
        """
        self.shape = shape
        self._dtype = dtype
        self._device = device
        name = "shared.weight" if "shared.weight" in weights else "encoder.embed_tokens.weight"
        self._embeddings = weights[name].to(device, dtype).contiguous()  # (vocabulary, width)
        bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        self._position_weights = weights[bias].to(device)  # (buckets, heads)
        self._final_norm = weights["encoder.final_layer_norm.weight"].to(device)  # (width,)
        given = [layer_weights(shape, weights, number) for number in range(shape.layers)]
        floats = partial(FloatLayer, shape, device=device, dtype=dtype)
        self._layers: list[Layer] = [
            floats(each) if make_layer is None else make_layer(number, each)
            for number, each in enumerate(given)
        ]
        first_layer = self._layers[0] if make_layer is None else floats(given[0])
        with torch.inference_mode():
            self._first_qkv = first_layer.projected(self._embeddings)  # (vocabulary, 3 inner)
        self._row_step = self._layers[0].row_step
        self._biases: dict[int, Tensor] = {}

    def means(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """The mean state (n, width) over each text's tokens; tokens (n, t) are padded, lengths are (n,)."""
        count, longest = tokens.shape
        is_ragged = bool((lengths != longest).any())
        mask = torch.arange(longest)[None, :] < lengths[:, None] if is_ragged else None  # (n, t)
        tokens = tokens.reshape(-1).to(self._device)
        mask = mask.to(self._device) if mask is not None else None
        bias = self._bias(longest, count, mask)  # (n, heads, t, t)
        rows = len(tokens)
        tokens = functional.pad(tokens, (0, -rows % self._row_step))
        x = self._embeddings[tokens]  # (n t or a few more, width), the residual stream
        for number, layer in enumerate(self._layers):
            qkv = self._first_qkv[tokens] if number == 0 else layer.projected(x)
            layer.add_read(x, self._attended(qkv[:rows], bias))
            layer.add_feed(x)
        states = (self._normed(x[:rows].float()) * self._final_norm).view(count, longest, -1)
        if mask is None:
            return states.mean(1)
        return (states * mask.unsqueeze(-1)).sum(1) / lengths.to(self._device).unsqueeze(-1)

    def _attended(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """What the heads read, (n t, inner), of queries, keys and values (n t, 3 inner)."""
        count, _, longest, _ = bias.shape
        heads, width = self.shape.heads, self.shape.head_width
        q, k, v = qkv.view(count, longest, 3, heads, width).permute(
            2, 0, 3, 1, 4
        )  # each (n, heads, t, width)
        read = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return read.transpose(1, 2).reshape(count * longest, self.shape.inner)

    def _normed(self, x: Tensor) -> Tensor:
        """Rows at a root mean square of 1."""
        return torch.rms_norm(x, (self.shape.width,), None, self.shape.epsilon)

    def _bias(self, longest: int, count: int, mask: Tensor | None) -> Tensor:
        """What is added to the scores of each pair of tokens, (n, heads, t, t); padding is never read."""
        if longest not in self._biases:
            if len(self._biases) >= _BIASES_KEPT:
                self._biases.clear()
            buckets = _buckets(longest, self.shape).to(self._device)
            bias = self._position_weights[buckets].permute(2, 0, 1)  # (heads, t, t)
            self._biases[longest] = bias.to(self._dtype).contiguous()
        bias = self._biases[longest].expand(count, -1, -1, -1)
        if mask is None:
            return bias
        return bias.masked_fill(~mask[:, None, None, :], torch.finfo(self._dtype).min)


def _buckets(longest: int, shape: T5Shape) -> Tensor:
    """The bucket of each token (column) as each token (row) sees it: near ones alone, far ones together."""
    positions = torch.arange(longest)
    offset = positions[None, :] - positions[:, None]
    half = shape.buckets // 2
    exact = half // 2
    distance = offset.abs()
    far = (
        exact
        + (
            torch.log(distance.float().clamp(min=1) / exact)
            / math.log(shape.max_distance / exact)
            * (half - exact)
        ).long()
    )
    return (offset > 0).long() * half + torch.where(distance < exact, distance, far.clamp(max=half - 1))
