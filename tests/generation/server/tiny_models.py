"""A small untrained model as a folder, so that tests of the server need no training."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.model.dual_head import DualHeadModel, RegressionHead, Size
from crystalmesh_generation.model.files import LoadedModel, ModelCard, save_model
from crystalmesh_generation.model.values import PropertyScale

MAX_ATOMS = 8
TEMPERATURE = 0.8
SCALES = (
    PropertyScale("formation_energy_ev_per_atom", -1.0, 0.5),
    PropertyScale("energy_above_hull_ev_per_atom", 0.1, 0.05),
)


def tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """A model that knows all words and prefers some, saved as a training saves it."""
    torch.manual_seed(seed)
    tokenizer = WordTokenizer.of_words()
    size = Size(width=64, layers=2, heads=1, inner=128, positions=512)
    config = size.config(len(tokenizer), pad=tokenizer.pad, begin=tokenizer.begin, end=tokenizer.end)
    model = DualHeadModel(LlamaForCausalLM(config), RegressionHead(size.width, SCALES))
    provenance = {"description": "Untrained.", "license": "Apache-2.0"}
    card = ModelCard(MAX_ATOMS, temperature=TEMPERATURE, scales=SCALES, provenance=provenance)
    save_model(LoadedModel(model, tokenizer, card), folder)
    return folder


def tiny_models(folder: Path) -> Path:
    """A folder of `able`, of `better` beside it, and of two that are broken."""
    tiny_model(folder / "able", seed=1)
    tiny_model(folder / "better", seed=2)
    tiny_model(folder / "damaged")
    (folder / "damaged" / "model.safetensors").write_bytes(b"not what was written")
    (folder / "empty").mkdir()
    return folder
