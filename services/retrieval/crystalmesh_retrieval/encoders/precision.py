"""Which numbers a T5 tower computes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError
from crystalmesh_retrieval.encoders.options import Precision
from crystalmesh_retrieval.encoders.ranges import RANGES_FILE, LayerRanges, read_ranges
from crystalmesh_retrieval.encoders.t5 import T5Network
from crystalmesh_retrieval.encoders.t5_integers import IntegerLayer, integer_problem
from crystalmesh_retrieval.encoders.t5_layers import LayerWeights
from crystalmesh_retrieval.encoders.t5_shape import T5Shape


def network_of(
    folder: Path, shape: T5Shape, weights: Mapping[str, Tensor], device: str, precision: Precision
) -> T5Network:
    """The network of a tower's folder; `auto` is eight bits where its ranges were measured, else float32.

    Raises ModelFailedError where eight bits are asked for and this tower or machine has none, and KeyError or
    RuntimeError for weights that do not fit.
    """
    if precision is Precision.BFLOAT16:
        return T5Network(shape, weights, device=device, dtype=torch.bfloat16)
    ranges = read_ranges(folder) if precision in {Precision.AUTO, Precision.INT8} else None
    problem = integer_problem(shape, device) or (
        "" if ranges is not None else f"{folder} has no {RANGES_FILE}"
    )
    if precision is Precision.INT8 and problem:
        raise ModelFailedError(f"the encoder cannot run with int8: {problem}")
    if problem or ranges is None:
        return T5Network(shape, weights, device=device)
    return T5Network(shape, weights, make_layer=_maker(folder, shape, ranges))


def _maker(
    folder: Path, shape: T5Shape, ranges: tuple[LayerRanges, ...]
) -> Callable[[int, LayerWeights], IntegerLayer]:
    if len(ranges) != shape.layers:
        raise DataCorruptError(
            f"{folder / RANGES_FILE} is of {len(ranges)} layers, and there are {shape.layers}: "
            "restore the encoder's folder from a copy",
            file=folder / RANGES_FILE,
        )
    return lambda number, weights: IntegerLayer(shape, weights, ranges[number])
