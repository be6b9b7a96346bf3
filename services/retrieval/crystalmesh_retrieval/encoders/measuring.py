"""Measures the ranges of a T5 tower on texts of the kind that it reads (see `ranges`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_retrieval.encoders.ranges import LayerRanges
from crystalmesh_retrieval.encoders.t5 import T5Network
from crystalmesh_retrieval.encoders.t5_layers import FloatLayer, LayerWeights
from crystalmesh_retrieval.encoders.t5_shape import T5Shape, read_weights, t5_shape
from crystalmesh_retrieval.encoders.tokens import TextTokenizer
from crystalmesh_retrieval.encoders.tower_model import TowerModel, read_tower


def can_be_measured(model: TowerModel) -> bool:
    """Whether it is a T5 encoder with plain ReLUs, which can compute in bytes."""
    shape = t5_shape(model)
    return shape is not None and not shape.is_gated and shape.activation == "relu"


def measured_ranges(folder: Path, texts: Sequence[str]) -> list[LayerRanges]:
    """The ranges of a stored tower's layers over all tokens of the texts, one text after the other.

    Raises ModelFailedError for a tower that could not compute in bytes anyway.
    """
    model = read_tower(folder)
    shape = t5_shape(model)
    if shape is None or not can_be_measured(model):
        raise ModelFailedError(f"{folder} is no T5 encoder with plain ReLUs, and has no ranges to measure")
    layers: list[_MeasuringLayer] = []

    def make_layer(_number: int, weights: LayerWeights) -> _MeasuringLayer:
        layers.append(_MeasuringLayer(shape, weights))
        return layers[-1]

    network = T5Network(shape, read_weights(model.transformer.folder), make_layer=make_layer)
    tokenizer = TextTokenizer(model.transformer.folder / "tokenizer.json", model.max_tokens)
    with torch.inference_mode():
        for tokens in tokenizer.read(texts):
            network.means(torch.tensor([tokens.ids]), torch.tensor([len(tokens.ids)]))
    return [layer.ranges() for layer in layers]


class _MeasuringLayer(FloatLayer):
    """Computes in floats, and notes the largest magnitudes."""

    def __init__(self, shape: T5Shape, weights: LayerWeights) -> None:
        super().__init__(shape, weights, device="cpu", dtype=torch.float32)
        self._largest = dict.fromkeys(("attention_input", "read", "feed_input", "hidden"), 1e-6)

    def ranges(self) -> LayerRanges:
        return LayerRanges(**self._largest)

    def projected(self, x: Tensor) -> Tensor:
        self._note("attention_input", self._normed(x))
        return super().projected(x)

    def add_read(self, x: Tensor, read: Tensor) -> None:
        self._note("read", read)
        super().add_read(x, read)

    def add_feed(self, x: Tensor) -> None:
        self._note("feed_input", self._normed(x))
        super().add_feed(x)

    def _activated(self, x: Tensor) -> Tensor:
        hidden = super()._activated(x)
        self._note("hidden", hidden)
        return hidden

    def _note(self, name: str, numbers: Tensor) -> None:
        self._largest[name] = max(self._largest[name], float(numbers.abs().max()))
