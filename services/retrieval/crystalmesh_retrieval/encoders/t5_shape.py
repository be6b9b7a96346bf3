"""T5 encoders that we run ourselves: what they look like, and their weights from safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.encoders.tower_model import Module, Part, TowerModel

if TYPE_CHECKING:
    from torch import Tensor

_ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new", "gated-silu": "silu", "gated-relu": "relu"}
_DENSE_ACTIVATIONS = {"torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Tanh"}


@dataclass(frozen=True)
class T5Shape:
    """The numbers that a T5 encoder is made by."""

    width: int
    heads: int
    head_width: int
    layers: int
    buckets: int  # of relative positions
    max_distance: int  # of two tokens, beyond which all are in one bucket
    activation: str
    is_gated: bool
    epsilon: float

    @property
    def inner(self) -> int:
        """Width of all heads together."""
        return self.heads * self.head_width


def t5_shape(tower: TowerModel) -> T5Shape | None:
    """The shape of a tower that our own forward pass runs to the last step, None for any other."""
    settings = tower.transformer.settings
    projection = settings.get("feed_forward_proj", "relu")
    ours = (
        tower.transformer.part is Part.TRANSFORMER
        and settings.get("model_type") == "t5"
        and projection in _ACTIVATIONS
        and settings.get("dense_act_fn", _ACTIVATIONS[projection]) == _ACTIVATIONS[projection]
        and (tower.transformer.folder / "tokenizer.json").is_file()
        and tower.reads_plain_text
        and _is_mean(tower.modules[1:])
    )
    if not ours:
        return None
    return T5Shape(
        width=settings["d_model"],
        heads=settings["num_heads"],
        head_width=settings["d_kv"],
        layers=settings["num_layers"],
        buckets=settings.get("relative_attention_num_buckets", 32),
        max_distance=settings.get("relative_attention_max_distance", 128),
        activation=_ACTIVATIONS[projection],
        is_gated=projection.startswith("gated-"),
        epsilon=settings.get("layer_norm_epsilon", 1e-6),
    )


def _is_mean(steps: tuple[Module, ...]) -> bool:
    """Whether the steps behind the transformer are a mean over tokens, dense layers, and the length to 1."""
    if not steps or steps[0].part is not Part.POOLING or not _pools_by_mean(steps[0].settings):
        return False
    rest = list(steps[1:])
    if rest and rest[-1].part is Part.NORMALIZE:
        rest.pop()
    return all(step.part is Part.DENSE and _is_plain(step.settings) for step in rest)


def _pools_by_mean(settings: Mapping[str, Any]) -> bool:
    modes = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    return settings.get("pooling_mode") == "mean" or modes == ["pooling_mode_mean_tokens"]


def _is_plain(settings: Mapping[str, Any]) -> bool:
    return settings.get("activation_function") in _DENSE_ACTIVATIONS and not settings.get("use_residual")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a module's safetensors, in float32. Raises DataCorruptError where one cannot be read."""
    from safetensors import SafetensorError  # noqa: PLC0415 -- with torch, which takes seconds
    from safetensors.torch import load_file  # noqa: PLC0415 -- likewise

    weights: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            weights.update(load_file(path))
        except (SafetensorError, OSError) as error:
            raise DataCorruptError(
                f"{path} is damaged ({error}): restore the encoder's folder from a copy", file=path
            ) from None
    return {name: tensor.float() for name, tensor in weights.items()}
