"""Trained towers as an encoder's folder, weights rounded to half precision."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from transformers import PreTrainedTokenizerFast

from crystalmesh_common.runtime.durable import PARTIAL_SUFFIX, make_folder, sync_folder, write_file
from crystalmesh_retrieval.encoders.encoder import EncoderInfo, Tower
from crystalmesh_retrieval.encoders.folder import write_encoder_json
from crystalmesh_retrieval.encoders.measuring import can_be_measured, measured_ranges
from crystalmesh_retrieval.encoders.ranges import write_ranges
from crystalmesh_retrieval.encoders.tower_model import read_tower
from crystalmesh_retrieval.training.recipe import Recipe
from crystalmesh_retrieval.training.towers import TowerPair, save_tower

DESCRIBER = "crystalmesh"


def write_encoder(
    towers: TowerPair,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    folder: Path,
    *,
    name: str,
    samples: Mapping[Tower, Sequence[str]],
    description: str = "",
) -> EncoderInfo:
    """Write the encoder in one step; what was in the folder before is gone.

    Weights are stored as fp16, half the size, and are read back as fp32; vectors move by less than 1e-3.
    On `samples` of the texts that each tower reads it is measured what computing in bytes has to know.
    """
    scratch = folder.with_name(folder.name + PARTIAL_SUFFIX)
    shutil.rmtree(scratch, ignore_errors=True)
    make_folder(scratch)
    dimensions = 0
    for which in Tower:
        save_tower(towers.tower(which), tokenizer, scratch / which, recipe.max_tokens)
        _halve(scratch / which / "model.safetensors")
        if can_be_measured(read_tower(scratch / which)):
            write_ranges(scratch / which, measured_ranges(scratch / which, samples[which]))
        dimensions = towers.tower(which).transformer.config.hidden_size  # type: ignore[union-attr, assignment]
    info = write_encoder_json(
        scratch,
        name=name,
        dimensions=int(dimensions),
        max_tokens=recipe.max_tokens,
        describer=DESCRIBER,
        description=description,
    )
    shutil.rmtree(folder, ignore_errors=True)
    scratch.replace(folder)
    sync_folder(folder.parent)
    return info


def _halve(path: Path) -> None:
    """The configuration goes on saying float32, so that everybody computes in it."""
    tensors = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for name, tensor in load_file(path).items()
    }
    write_file(path, save(tensors, metadata={"format": "pt"}))
