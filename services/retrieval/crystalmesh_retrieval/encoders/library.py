"""Encoders run by `sentence-transformers`: any of its models, at its own speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_retrieval.encoders.devices import intra_op_threads
from crystalmesh_retrieval.encoders.encoder import Embeddings, EncoderInfo, Tower, Vectors
from crystalmesh_retrieval.encoders.options import Precision
from crystalmesh_retrieval.encoders.tower_model import TowerModel, info_of_pair

_ROWS = 32


class LibraryEncoder:
    """Both towers as `SentenceTransformer`. Raises ModelFailedError where the library cannot load one."""

    def __init__(
        self,
        info: EncoderInfo,
        towers: Mapping[Tower, TowerModel],
        *,
        device: str,
        precision: Precision,
        threads: int,
    ) -> None:
        self._threads = threads
        models = {model.folder: model for model in towers.values()}  # one may serve as both
        loaded = {folder: _loaded(model, device, precision) for folder, model in models.items()}
        self._models = {tower: loaded[model.folder] for tower, model in towers.items()}
        dimensions = {_dimensions(model) for model in loaded.values()}
        limits = [limit for limit in (model.max_seq_length for model in loaded.values()) if limit]
        self._info = info_of_pair(info, dimensions, limits)

    @property
    def info(self) -> EncoderInfo:
        return self._info

    def encode(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        if not texts:
            return Embeddings(np.empty((0, self._info.dimensions), np.float32), np.empty(0, bool))
        model = self._models[tower]
        with intra_op_threads(self._threads):
            points: Vectors = model.encode(list(texts), batch_size=_ROWS, show_progress_bar=False)
        return Embeddings(normalized(points.astype(np.float32, copy=False)), _truncated(model, texts))


def normalized(points: Vectors) -> Vectors:
    """The points (n, d) at length 1; one at the origin, which a text without any token has, stays there."""
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    scaled: Vectors = points / np.maximum(lengths, 1e-12)
    return scaled


def _loaded(model: TowerModel, device: str, precision: Precision) -> Any:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 -- three seconds, and rarely needed

    if precision is Precision.INT8:
        raise ModelFailedError(f"{model.folder} cannot be run with int8, which is for T5 towers on a CPU")
    dtype = "bfloat16" if precision is Precision.BFLOAT16 else "float32"
    try:
        return SentenceTransformer(
            str(model.folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": dtype},
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
        raise ModelFailedError(
            f"sentence-transformers cannot load {model.folder}: {type(error).__name__}: {str(error)[:300]}"
        ) from error


def _dimensions(model: Any) -> int:
    dimensions = model.get_embedding_dimension()
    return int(dimensions)


def _truncated(model: Any, texts: Sequence[str]) -> np.ndarray:
    limit = model.max_seq_length
    if not limit:
        return np.zeros(len(texts), bool)
    tokens = model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    return np.array([len(each) > limit for each in tokens])
