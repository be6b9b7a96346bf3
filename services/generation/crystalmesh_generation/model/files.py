"""A model as a folder: what Hugging Face's Llama is read from, and beside it the regression head and card.

config.json, generation_config.json, model.safetensors   the language model
tokenizer.json, tokenizer_config.json                    its words
regression/model.safetensors, crystalmesh.json           the second head, and what the model is

vLLM takes all weights of a folder for the language model's, so the second head's are one folder deeper.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.model.dual_head import DualHeadModel, RegressionHead
from crystalmesh_generation.model.values import PropertyScale

CARD = "crystalmesh.json"
_REGRESSION = "regression/model.safetensors"
# Where the first trainings put it. vLLM does not load their models until it is moved.
_REGRESSION_BESIDE = "regression.safetensors"
_LANGUAGE = "model.safetensors"
_CONFIG = "config.json"


@dataclass(frozen=True)
class ModelCard:
    """What a model is, beside its weights."""

    max_atoms: int  # of the crystals that it learnt from
    temperature: float = 1.0  # that it is used with unless asked otherwise
    scales: tuple[PropertyScale, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to write."""

    model: DualHeadModel
    tokenizer: WordTokenizer
    card: ModelCard

    @property
    def max_tokens(self) -> int:
        """Words of the longest conversation."""
        return int(self.model.language.config.max_position_embeddings)


def is_model_folder(folder: Path) -> bool:
    """Whether the folder claims to hold a model; `load_model` says whether it does."""
    return (folder / CARD).is_file()


def read_card(folder: Path) -> ModelCard:
    """The card alone. Raises DataCorruptError."""
    try:
        said = json.loads((folder / CARD).read_text(encoding="utf-8"))
        scales = tuple(PropertyScale(**each) for each in said.pop("scales"))
        return ModelCard(**said, scales=scales)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataCorruptError(f"{folder / CARD} is no card of a model: {error}") from error


def has_head_beside(folder: Path) -> bool:
    """Whether the second head lies where vLLM takes it for a part of the language model."""
    return (folder / _REGRESSION_BESIDE).is_file() and not (folder / _REGRESSION).exists()


def load_model(folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> LoadedModel:
    """Read a model for inference. Raises DataCorruptError for a folder that holds none."""
    card = read_card(folder)
    tokenizer = WordTokenizer.load(folder)
    try:
        config = LlamaConfig.from_json_file(folder / _CONFIG)
        with torch.device("meta"):
            language = LlamaForCausalLM(config)
            head = RegressionHead(config.hidden_size, card.scales)
        weights = load_file(folder / _LANGUAGE)
        language.to_empty(device="cpu")
        language.model.rotary_emb = type(language.model.rotary_emb)(config)
        language.load_state_dict(weights, strict=False)
        language.tie_weights()
        _all_there(language, weights)
        beside = has_head_beside(folder)
        head.load_state_dict(load_file(folder / (_REGRESSION_BESIDE if beside else _REGRESSION)), assign=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataCorruptError(f"{folder} holds no model: {error}") from error
    model = DualHeadModel(language, head).to(device)
    nn.Module.to(language, dtype)
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad = False
    return LoadedModel(model, tokenizer, card)


def save_model(loaded: LoadedModel, folder: Path, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the folder; a reader sees each file whole, and the card last."""
    folder.mkdir(parents=True, exist_ok=True)
    loaded.tokenizer.save(folder)
    config = loaded.model.language.config
    said = config.to_dict() | {"architectures": ["LlamaForCausalLM"], "dtype": str(dtype).split(".")[-1]}
    write_file(folder / _CONFIG, json.dumps(said, indent=1).encode())
    specials = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id}
    write_file(
        folder / "generation_config.json",
        json.dumps(specials | {"pad_token_id": config.pad_token_id}).encode(),
    )
    language = {
        name: values.detach().to(dtype).cpu().contiguous()
        for name, values in loaded.model.language.state_dict().items()
        if name != "lm_head.weight"  # the same as the embedding
    }
    write_file(folder / _LANGUAGE, save(language, metadata={"format": "pt"}))
    head = {
        name: each.detach().float().cpu().contiguous()
        for name, each in loaded.model.regression.state_dict().items()
    }
    (folder / _REGRESSION).parent.mkdir(exist_ok=True)
    write_file(folder / _REGRESSION, save(head))
    (folder / _REGRESSION_BESIDE).unlink(missing_ok=True)
    write_file(folder / CARD, json.dumps(asdict(loaded.card), indent=1).encode())


def _all_there(language: LlamaForCausalLM, weights: dict[str, torch.Tensor]) -> None:
    missing = {name for name, _ in language.named_parameters()} - set(weights) - {"lm_head.weight"}
    if missing:
        raise ValueError(f"{min(missing)} is missing")
