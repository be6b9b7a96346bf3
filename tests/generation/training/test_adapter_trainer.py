from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.training.adapter_files import load_llama
from crystalmesh_generation.training.adapter_trainer import CHECKPOINT, AdapterTrainer
from crystalmesh_generation.training.course import Report
from crystalmesh_generation.training.experiment import Experiment, experiment_of
from tests.generation.training.corpora import salts
from tests.generation.training.tiny_llama import write_llama

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama"))


def experiment(llama: Path, *, steps: int, checks: int = 3, **adapter: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "salts",
            "lessons": {"facts": 0.0},
            "budget": {"steps": steps, "checks": checks},
            "adapter": {"checkpoint": llama, "part_tokens": 1024, **adapter},
            "optimization": {"words": 1500, "learning_rate": 0.02, "warm_up": 0.1, "weight_decay": 0.0},
            "machine": {"device": "cpu", "threads": 1, "precision": "float32"},
        }
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def test_it_learns_and_leaves_an_adapter_and_a_llama(llama: Path, tmp_path: Path) -> None:
    """Both losses fall; adapter, merged model, curves and record lie in the folder."""
    reports: list[Report] = []
    wanted = experiment(llama, steps=30, checks=2, merge=True)
    folder = AdapterTrainer(wanted, salts(0, 14), salts(14, 16), tmp_path, reports.append).run()
    checks = [report.check for report in reports if report.check]
    assert reports[-1].loss < 0.7 * reports[0].loss
    assert checks[-1].validation < 0.9 * checks[0].validation
    assert len(checks[0].samples) == 2
    assert folder == tmp_path / "model"
    merged, _ = load_llama(folder, CPU, torch.float32)
    base, _ = load_llama(llama, CPU, torch.float32)
    name = "model.layers.0.mlp.up_proj"
    change = merged.get_parameter(f"{name}.weight") - base.get_parameter(f"{name}.weight")
    tensors = weights(tmp_path)
    found = (
        tensors[f"base_model.model.{name}.lora_B.weight"] @ tensors[f"base_model.model.{name}.lora_A.weight"]
    )
    torch.testing.assert_close(change, 2 * found, atol=1e-6, rtol=1e-4)
    said = json.loads((tmp_path / "progress.json").read_text())
    assert (said["steps"], len(said["checks"]), said["crystals"]) == (30, 2, 14)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_resumed_training_ends_as_an_uninterrupted_one(llama: Path, tmp_path: Path) -> None:
    """Stopped between checkpoints and started again, it ends with the same weights to the last bit."""
    wanted = experiment(llama, steps=6)

    class StoppedError(Exception):
        pass

    def stop(report: Report) -> None:
        if report.step == 5:
            raise StoppedError

    AdapterTrainer(wanted, salts(), None, tmp_path / "whole", lambda _: None).run()
    with pytest.raises(StoppedError):
        AdapterTrainer(wanted, salts(), None, tmp_path / "parts", stop).run()
    reports: list[Report] = []
    AdapterTrainer(wanted, salts(), None, tmp_path / "parts", reports.append).run()
    assert [report.step for report in reports] == [5, 6]
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert any(each.any() for name, each in whole.items() if "lora_B" in name)


def test_gradient_checkpointing_learns_the_same(llama: Path, tmp_path: Path) -> None:
    """It is about memory only, dropout included."""
    for name, less in (("plain", False), ("less", True)):
        wanted = experiment(llama, steps=2, checks=1, gradient_checkpointing=less)
        AdapterTrainer(wanted, salts(), None, tmp_path / name, lambda _: None).run()
    plain, less_memory = weights(tmp_path / "plain"), weights(tmp_path / "less")
    assert all(torch.allclose(plain[name], less_memory[name], atol=1e-6) for name in plain)


def test_another_llama_is_another_training(llama: Path, tmp_path: Path) -> None:
    """A checkpoint is gone on from beside the Llama that it is of, and beside no other."""
    run = tmp_path / "run"
    AdapterTrainer(experiment(llama, steps=2), salts(), None, run, lambda _: None).run()
    assert (run / CHECKPOINT).exists()
    for other, first in (
        (write_llama(tmp_path / "copy"), 3),
        (write_llama(tmp_path / "longer", positions=512), 1),
    ):
        reports: list[Report] = []
        AdapterTrainer(experiment(other, steps=3), salts(), None, run, reports.append).run()
        assert reports[0].step == first


def test_a_llama_for_short_texts_is_refused(tmp_path: Path) -> None:
    """Where half of the lessons do not fit, nothing would be learnt of them."""
    short = write_llama(tmp_path / "short", positions=96)
    with pytest.raises(InvalidFieldError, match="longer than 96 tokens"):
        AdapterTrainer(experiment(short, steps=1), salts(), None, tmp_path / "run", lambda _: None)


def test_low_precision_learns_too(llama: Path, tmp_path: Path) -> None:
    """The frozen weights are then in bfloat16, and those that learn in full precision."""
    wanted = experiment(llama, steps=4, checks=1)
    wanted = wanted.model_copy(
        update={"machine": wanted.machine.model_copy(update={"precision": "bfloat16"})}
    )
    reports: list[Report] = []
    AdapterTrainer(wanted, salts(), None, tmp_path, reports.append).run()
    assert reports[-1].loss < reports[0].loss
    assert {each.dtype for each in weights(tmp_path).values()} == {torch.float32}


def test_the_recipe_of_the_paper_ships() -> None:
    """Rank 8, alpha 16, dropout 0.1, AdamW at 1e-4 after a warm-up over a tenth."""
    shipped = experiment_of(Path("llama_lora"))
    assert shipped.adapter is not None
    assert (shipped.adapter.rank, shipped.adapter.alpha, shipped.adapter.dropout) == (8, 16, 0.1)
    assert (shipped.optimization.learning_rate, shipped.optimization.warm_up) == (1e-4, 0.1)
