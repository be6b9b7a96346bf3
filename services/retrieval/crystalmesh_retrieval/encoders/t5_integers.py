"""A layer of a T5 encoder in integers of eight bits, for CPUs that multiply such integers (VNNI).

Each product has one scale for what goes in, measured beforehand (see `ranges`), so that texts do not
influence each other and the wide hidden layer is written as bytes; weights have a scale a row. The residual
stream, attention itself and norms stay in float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from crystalmesh_retrieval.encoders.ranges import LayerRanges
from crystalmesh_retrieval.encoders.t5_layers import LayerWeights
from crystalmesh_retrieval.encoders.t5_shape import T5Shape

_ZERO = 128
"""The byte of the number 0, where numbers have signs."""
_LEAST_WEIGHT = 1e-30


def integer_problem(shape: T5Shape, device: str) -> str:
    """Why such layers cannot run here, empty where they can."""
    if device != "cpu":
        return f"it runs on {device}, and int8 is for a CPU"
    if shape.is_gated or shape.activation != "relu":
        return "its feed-forward layers are gated or have no ReLU"
    if not torch.cpu._is_vnni_supported() or not hasattr(torch.ops.onednn, "qlinear_prepack"):  # noqa: SLF001
        return "this CPU or this torch has no product of 8-bit integers (VNNI)"
    return ""


class IntegerLayer:
    """Four products of bytes."""

    row_step = 32
    """Kernels are compiled for each number of rows."""

    def __init__(self, shape: T5Shape, weights: LayerWeights, ranges: LayerRanges) -> None:
        self._least_length = math.sqrt(shape.width * shape.epsilon)
        root = math.sqrt(shape.width)
        self._attention_factor = root * 127 / ranges.attention_input
        self._feed_factor = root * 127 / ranges.feed_input
        self._read_factor = 127 / ranges.read
        self._hidden_step = ranges.hidden / 255
        self._qkv = _Product(weights.qkv * weights.attention_norm, ranges.attention_input / 127, _ZERO)
        self._out = _Product(weights.out, ranges.read / 127, _ZERO)
        self._rise = _Product(weights.rise * weights.feed_norm, ranges.feed_input / 127, _ZERO)
        self._fall = _Product(weights.fall, self._hidden_step, 0)

    def projected(self, x: Tensor) -> Tensor:
        return self._qkv.floats(self._normed(x, self._attention_factor))

    def add_read(self, x: Tensor, read: Tensor) -> None:
        coded = _bytes(read.mul_(self._read_factor))
        if len(coded) < len(x):
            coded = torch.cat([coded, coded.new_full((len(x) - len(coded), coded.shape[1]), _ZERO)])
        self._out.add_to(x, coded)

    def add_feed(self, x: Tensor) -> None:
        coded = self._normed(x, self._feed_factor)
        self._fall.add_to(x, self._rise.rectified(coded, self._hidden_step))

    def _normed(self, x: Tensor, factor: float) -> Tensor:
        """The stream at a root mean square of 1, as bytes; `factor` holds the step and the root."""
        lengths = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (rows, 1)
        return _bytes(x * (factor / lengths.clamp_(min=self._least_length)))


def _bytes(rows: Tensor) -> Tensor:
    """Numbers from -127 to 127, cut off there, as bytes around _ZERO; changes `rows`."""
    rows.add_(_ZERO + 0.5).clamp_(1, 255)
    return rows.to(torch.int16).to(torch.uint8)  # straight to unsigned bytes is a third as fast


class _Product:
    """Rows of bytes times weights of eight bits."""

    def __init__(self, weights: Tensor, step: float, zero: int) -> None:
        """Weights (out, in) for bytes that stand for `step` times themselves less `zero`."""
        self._scales = weights.abs().amax(dim=1).clamp(min=_LEAST_WEIGHT) / 127  # (out,)
        codes = (weights / self._scales[:, None]).round_().to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(codes, None)
        self._zeros = torch.zeros(len(weights), dtype=torch.int64)
        self._given = (step, zero, self._packed, self._scales, self._zeros)

    def floats(self, rows: Tensor) -> Tensor:
        """(rows, in) to (rows, out) in float32."""
        return torch.ops.onednn.qlinear_pointwise(  # type: ignore[no-any-return]
            rows, *self._given, None, 1.0, 0, torch.float32, "none", [], "none"
        )

    def rectified(self, rows: Tensor, step: float) -> Tensor:
        """(rows, in) to (rows, out) in bytes that stand for `step` times themselves; negative ones are 0."""
        return torch.ops.onednn.qlinear_pointwise(  # type: ignore[no-any-return]
            rows, *self._given, None, step, 0, torch.uint8, "relu", [], "none"
        )

    def add_to(self, x: Tensor, rows: Tensor) -> None:
        """Add (rows, out) to `x`, in place."""
        torch.ops.onednn.qlinear_pointwise.binary(
            rows, *self._given, x, None, 1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, "none", [], "none"
        )
