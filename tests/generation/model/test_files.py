from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_generation.model.files import LoadedModel, has_head_beside, load_model, save_model
from tests.generation.engines.tiny_model import tiny_model


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return tiny_model()


@pytest.fixture
def folder(model: LoadedModel, tmp_path: Path) -> Path:
    save_model(model, tmp_path, dtype=torch.float32)
    return tmp_path


def same(one: LoadedModel, other: LoadedModel) -> bool:
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def move_beside(folder: Path) -> None:
    """As the first trainings left it."""
    (folder / "regression" / "model.safetensors").rename(folder / "regression.safetensors")
    (folder / "regression").rmdir()


def test_a_saved_model_is_the_same(folder: Path, model: LoadedModel) -> None:
    """Both heads have the weights that they were saved with, and words and card are the same."""
    loaded = load_model(folder)
    assert same(loaded, model)
    assert loaded.card == model.card
    assert loaded.tokenizer.words == model.tokenizer.words


def test_the_folder_s_own_weights_are_a_llama_s(folder: Path) -> None:
    """What vLLM reads, all safetensors of the folder itself, is the language model and nothing else."""
    (weights,) = folder.glob("*.safetensors")
    assert all(name.startswith("model.") for name in load_file(weights))
    assert not has_head_beside(folder)


def test_a_head_beside_the_language_model_is_read(folder: Path, model: LoadedModel) -> None:
    """The layout of the first trainings loads as well, and is known for what it is."""
    move_beside(folder)
    assert has_head_beside(folder)
    assert same(load_model(folder), model)


def test_saving_over_an_old_layout_leaves_the_new_one(folder: Path, model: LoadedModel) -> None:
    """A model that is saved again has its second head in one place only."""
    move_beside(folder)
    save_model(model, folder)
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    assert not has_head_beside(folder)


def test_a_missing_head_is_told(folder: Path) -> None:
    """A folder without its second head holds no model."""
    (folder / "regression" / "model.safetensors").unlink()
    with pytest.raises(DataCorruptError, match="regression"):
        load_model(folder)
