"""A model with random weights, small enough to make for a test."""

from __future__ import annotations

import torch
from transformers import LlamaForCausalLM

from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.model.dual_head import DualHeadModel, RegressionHead, Size
from crystalmesh_generation.model.files import LoadedModel, ModelCard
from crystalmesh_generation.model.values import PropertyScale

SIZE = Size(width=64, layers=2, heads=2, inner=128, positions=128)
SCALES = (PropertyScale("band_gap_ev", 1.0, 2.0), PropertyScale("formation_energy_ev_per_atom", -1.0, 0.5))


def tiny_model(scales: tuple[PropertyScale, ...] = SCALES) -> LoadedModel:
    """A model of our words that has learnt nothing, but has opinions: its logits differ by a few units."""
    torch.manual_seed(5)
    tokenizer = WordTokenizer.of_words()
    config = SIZE.config(len(tokenizer), pad=tokenizer.pad, begin=tokenizer.begin, end=tokenizer.end)
    language = LlamaForCausalLM(config)
    for name, weights in language.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.uniform_(weights, 0.5, 1.5)
        else:
            torch.nn.init.normal_(weights, std=0.2)
    model = DualHeadModel(language, RegressionHead(SIZE.width, scales)).eval()
    for parameter in model.parameters():
        parameter.requires_grad = False
    return LoadedModel(model, tokenizer, ModelCard(max_atoms=20, scales=scales))
