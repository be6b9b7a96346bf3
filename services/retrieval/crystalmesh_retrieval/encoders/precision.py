"""Which numbers a T5 tower computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_retrieval.encoders.grid import on_grid
from crystalmesh_retrieval.encoders.options import Precision
from crystalmesh_retrieval.encoders.t5_shape import T5Shape

FEED_FORWARD = ".DenseReluDense."
"""In the names of the weights that run in eight bits."""


@dataclass(frozen=True)
class Numbers:
    """What weights and states are held in."""

    dtype: torch.dtype
    integers: bool = False  # of eight bits, in the feed-forward half


def numbers_of(precision: Precision, shape: T5Shape, weights: Mapping[str, Tensor], device: str) -> Numbers:
    """The numbers for a tower; `auto` is eight bits where the weights were rounded for it, else float32.

    Raises ModelFailedError where eight bits are asked for and this tower or machine has none.
    """
    if precision is Precision.BFLOAT16:
        return Numbers(torch.bfloat16)
    problem = _no_integers(shape, device)
    if precision is Precision.INT8 and problem:
        raise ModelFailedError(f"the encoder cannot run with int8: {problem}")
    rounded = all(on_grid(weight) for name, weight in weights.items() if FEED_FORWARD in name)
    wanted = precision is Precision.INT8 or (precision is Precision.AUTO and rounded and not problem)
    return Numbers(torch.float32, integers=wanted)


def _no_integers(shape: T5Shape, device: str) -> str:
    """Why there is no arithmetic in eight bits, empty where there is."""
    if device != "cpu":
        return f"it runs on {device}, and int8 is for a CPU"
    if shape.is_gated or shape.activation != "relu":
        return "its feed-forward layers are gated or have no ReLU"
    if not torch.cpu._is_vnni_supported() or not hasattr(torch.ops.onednn, "qlinear_prepack"):  # noqa: SLF001
        return "this CPU or this torch has no product of 8-bit integers (VNNI)"
    return ""
