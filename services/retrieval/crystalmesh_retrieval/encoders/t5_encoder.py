"""Encoders of two T5 towers, run by our own forward pass: on a CPU each thread has batches of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError
from crystalmesh_retrieval.encoders.batches import batches, even_share
from crystalmesh_retrieval.encoders.devices import intra_op_threads
from crystalmesh_retrieval.encoders.encoder import Embeddings, EncoderInfo, Tower, Vectors
from crystalmesh_retrieval.encoders.options import Precision
from crystalmesh_retrieval.encoders.precision import network_of
from crystalmesh_retrieval.encoders.t5_shape import read_weights, t5_shape
from crystalmesh_retrieval.encoders.tokens import TextTokenizer, Tokens
from crystalmesh_retrieval.encoders.tower_model import Module, Part, TowerModel, info_of_pair

_WINDOW_TEXTS = 8192
"""Texts whose tokens are held at a time."""
_READ_TEXTS = 64
"""Texts that a thread makes tokens of at a time."""
_LEAST_CPU_TOKENS, _CPU_TOKENS = 128, 896
"""In a batch: more than what calling costs, and about what the caches of a core hold."""
_GPU_TOKENS, _GPU_PADDING = 65_536, 8192

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


class T5Encoder:
    """Both towers, each text by one thread."""

    def __init__(
        self,
        info: EncoderInfo,
        towers: Mapping[Tower, TowerModel],
        *,
        device: str,
        precision: Precision,
        threads: int,
    ) -> None:
        """Raises DataCorruptError where weights do not fit, ModelFailedError where towers do not."""
        self._on_cpu = device == "cpu"
        self._threads = threads if self._on_cpu else 1
        models = {model.folder: model for model in towers.values()}  # one may serve as both
        loaded = {folder: T5Tower(model, device, precision) for folder, model in models.items()}
        self._towers = {tower: loaded[model.folder] for tower, model in towers.items()}
        dimensions = {tower.dimensions for tower in loaded.values()}
        limits = [model.max_tokens for model in models.values() if model.max_tokens]
        self._info = info_of_pair(info, dimensions, limits)
        self._pool = ThreadPoolExecutor(self._threads, "encoder") if self._threads > 1 else None

    @property
    def info(self) -> EncoderInfo:
        return self._info

    def encode(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        vectors = np.empty((len(texts), self._info.dimensions), np.float32)
        truncated = np.empty(len(texts), bool)
        with intra_op_threads(1 if self._on_cpu else torch.get_num_threads()):
            for start in range(0, len(texts), _WINDOW_TEXTS):
                window = slice(start, start + _WINDOW_TEXTS)
                self._encode_window(self._towers[tower], texts[window], vectors[window], truncated[window])
        return Embeddings(vectors, truncated)

    def _encode_window(
        self, tower: T5Tower, texts: Sequence[str], vectors: Vectors, truncated: np.ndarray
    ) -> None:
        """Fill in the vectors (n, d) and flags (n,) of the texts."""
        parts = [texts[start : start + _READ_TEXTS] for start in range(0, len(texts), _READ_TEXTS)]
        tokens = [each for part in self._each(tower.read, parts) for each in part]
        truncated[:] = [each.is_truncated for each in tokens]
        lengths = [len(each.ids) for each in tokens]
        if self._on_cpu:
            most = even_share(sum(lengths), _CPU_TOKENS, self._threads, least=_LEAST_CPU_TOKENS)
            padding = most // 8
        else:
            most, padding = _GPU_TOKENS, _GPU_PADDING

        def encode(batch: list[int]) -> None:
            vectors[batch] = tower.vectors([tokens[position] for position in batch])

        for _ in self._each(encode, batches(lengths, most, padding)):
            pass

    def _each(self, function: Callable[[_Given], _Made], items: Iterable[_Given]) -> Iterable[_Made]:
        return map(function, items) if self._pool is None else self._pool.map(function, items)


class T5Tower:
    """From texts to points."""

    def __init__(self, model: TowerModel, device: str, precision: Precision) -> None:
        shape = t5_shape(model)
        if shape is None:
            raise ModelFailedError(f"{model.folder} is no T5 encoder that we run ourselves")
        self._tokenizer = TextTokenizer(model.transformer.folder / "tokenizer.json", model.max_tokens)
        self._device = device
        weights = read_weights(model.transformer.folder)
        try:
            self._network = network_of(model.transformer.folder, shape, weights, device, precision)
            self._dense = [_Dense(step, device) for step in model.modules if step.part is Part.DENSE]
        except (KeyError, IndexError, RuntimeError) as error:
            raise DataCorruptError(
                f"the weights in {model.folder} are not those of its config.json ({str(error)[:200]}): "
                "restore the encoder's folder from a copy",
                file=model.folder,
            ) from error
        self.dimensions = self._dense[-1].dimensions if self._dense else shape.width

    def read(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text."""
        return self._tokenizer.read(texts)

    def vectors(self, texts: Sequence[Tokens]) -> Vectors:
        """The points (n, dimensions) of texts that go through together, each of length 1."""
        longest = max(len(text.ids) for text in texts)
        tokens = torch.tensor([text.ids + [0] * (longest - len(text.ids)) for text in texts])
        with torch.inference_mode():
            points = self._network.means(tokens, torch.tensor([len(text.ids) for text in texts]))
            for dense in self._dense:
                points = dense(points)
            found: Vectors = functional.normalize(points, dim=-1).cpu().numpy()
        return found


class _Dense:
    """A layer behind the mean."""

    def __init__(self, step: Module, device: str) -> None:
        weights = read_weights(step.folder)
        self._weight = weights["linear.weight"].to(device)  # (out, in)
        self._bias = weights["linear.bias"].to(device) if "linear.bias" in weights else None
        self._is_tanh = step.settings["activation_function"].endswith("Tanh")
        self.dimensions = len(self._weight)

    def __call__(self, points: Tensor) -> Tensor:
        points = functional.linear(points, self._weight, self._bias)
        return torch.tanh(points) if self._is_tanh else points
