from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.training.adapter_files import (
    fingerprint,
    load_llama,
    save_adapter,
    save_llama,
)
from crystalmesh_generation.training.adapters import LowRankLinear, add_adapters, merge_adapters
from crystalmesh_generation.training.experiment import AdapterConfig
from tests.generation.training.tiny_llama import write_llama

CPU = torch.device("cpu")
WORDS = torch.tensor([[0, 5, 17, 200, 31, 8]])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama"))


def adapted(llama: Path) -> tuple[LlamaForCausalLM, dict[str, LowRankLinear], AdapterConfig]:
    """A Llama whose adapters do something."""
    config = AdapterConfig(checkpoint=llama, rank=4)
    model, _ = load_llama(llama, CPU, torch.float32)
    adapters = add_adapters(model, config, seed=0)
    for number, each in enumerate(adapters.values()):
        torch.nn.init.normal_(each.lora_b, std=0.1, generator=torch.Generator().manual_seed(number))
    return model.train(mode=False), adapters, config


def logits(model: LlamaForCausalLM) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=WORDS).logits
    return found


def test_a_new_adapter_changes_nothing(llama: Path) -> None:
    """Every linear layer of attention and MLP has one, and the model says what it said."""
    plain, _ = load_llama(llama, CPU, torch.float32)
    before = logits(plain)
    adapters = add_adapters(plain, AdapterConfig(checkpoint=llama, dropout=0.0), seed=0)
    assert torch.equal(logits(plain), before)
    assert len(adapters) == 2 * 7
    learnt = {name for name, each in plain.named_parameters() if each.requires_grad}
    assert all(name.endswith((".lora_a", ".lora_b")) for name in learnt)
    assert len(learnt) == 2 * len(adapters)


def test_a_merged_model_says_what_base_and_adapter_say(llama: Path, tmp_path: Path) -> None:
    """Also when it is read back as any Llama is."""
    model, adapters, _ = adapted(llama)
    expected = logits(model)
    base, tokenizer = load_llama(llama, CPU, torch.float32)
    assert not torch.allclose(logits(base), expected, atol=1e-2)
    merge_adapters(model, adapters)
    save_llama(tmp_path / "model", model, tokenizer)
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-4)
    read, words = load_llama(tmp_path / "model", CPU, torch.float32)
    assert torch.equal(logits(read), logits(model))
    assert set(read.state_dict()) == set(base.state_dict())
    assert words("rock salt")["input_ids"] == tokenizer("rock salt")["input_ids"]
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path / "model"), LlamaForCausalLM)


def test_an_adapter_is_named_as_peft_names_it(llama: Path, tmp_path: Path) -> None:
    """Tensors, their shapes, and what the configuration says of them."""
    _, adapters, config = adapted(llama)
    save_adapter(tmp_path, adapters, config)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert len(tensors) == 2 * len(adapters)
    prefix = "base_model.model.model.layers.1"
    assert tensors[f"{prefix}.self_attn.k_proj.lora_A.weight"].shape == (4, 32)
    assert tensors[f"{prefix}.self_attn.k_proj.lora_B.weight"].shape == (16, 4)
    assert tensors[f"{prefix}.mlp.down_proj.lora_A.weight"].shape == (4, 64)
    said = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (said["peft_type"], said["task_type"], said["bias"]) == ("LORA", "CAUSAL_LM", "none")
    assert (said["r"], said["lora_alpha"], said["lora_dropout"]) == (4, 16, 0.1)
    assert said["target_modules"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"
    ]  # fmt: skip


def test_an_adapter_can_be_added_by_its_files_alone(llama: Path, tmp_path: Path) -> None:
    """Base weights plus alpha / r · BA, out of what lies in the folder, is what the model does."""
    model, adapters, config = adapted(llama)
    save_adapter(tmp_path, adapters, config)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    said = json.loads((tmp_path / "adapter_config.json").read_text())
    base, _ = load_llama(llama, CPU, torch.float32)
    with torch.no_grad():
        for name, weights in base.named_parameters():
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{stem}.lora_A.weight" in tensors:
                change = tensors[f"{stem}.lora_B.weight"] @ tensors[f"{stem}.lora_A.weight"]
                weights.add_(said["lora_alpha"] / said["r"] * change)
    torch.testing.assert_close(logits(base), logits(model), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "no folder of a model"),
        ("other", "holds a mamba"),
        ("pickles", "no weights as safetensors"),
        ("torn", "cannot be read as a Llama"),
        ("wordless", "cannot be read as a Llama"),
    ],
)
def test_a_folder_without_a_llama_is_refused(tmp_path: Path, damage: str, message: str) -> None:
    """What is wrong is said, and no pickle is opened."""
    folder = tmp_path / "llama"
    if damage != "missing":
        write_llama(folder)
    config, weights = folder / "config.json", folder / "model.safetensors"
    if damage == "other":
        config.write_text(config.read_text().replace('"llama"', '"mamba"'))
    if damage == "pickles":
        weights.rename(folder / "pytorch_model.bin")
    if damage == "torn":
        weights.write_bytes(weights.read_bytes()[:100])
    if damage == "wordless":
        (folder / "tokenizer.json").unlink()
    with pytest.raises(InvalidFieldError, match=message):
        load_llama(folder, CPU, torch.float32)


def test_a_checkpoint_is_known_wherever_it_lies(llama: Path, tmp_path: Path) -> None:
    """Its fingerprint is of what it holds, and not of its address."""
    assert fingerprint(write_llama(tmp_path / "copy")) == fingerprint(llama)
    assert fingerprint(write_llama(tmp_path / "other", positions=512)) != fingerprint(llama)
