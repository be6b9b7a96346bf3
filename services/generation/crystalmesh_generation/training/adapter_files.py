"""Files around an adapter: the Llama that it is for, and what PEFT, vLLM and others load it from."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import nn
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase
from transformers.utils import logging

from crystalmesh_common.runtime.durable import make_folder, sync_folder, write_file
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.training.adapters import Adapters
from crystalmesh_generation.training.experiment import AdapterConfig

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FIELD = "adapter.checkpoint"


def load_llama(
    folder: Path, device: torch.device, dtype: torch.dtype
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """A Llama and its tokenizer out of a folder: no network, no pickles, no code that comes along.

    Raises InvalidFieldError for a folder that holds something else.
    """
    _require_llama(folder)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # there is one of ours
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = LlamaForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InvalidFieldError(f"{folder} cannot be read as a Llama: {first}", field=_FIELD) from error
    if tokenizer.eos_token_id is None:
        raise InvalidFieldError(f"the tokenizer in {folder} has no token that ends a text", field=_FIELD)
    nn.Module.to(model, device)
    return model, tokenizer


def fingerprint(folder: Path) -> str:
    """What tells a checkpoint from others, wherever it lies: its configuration and its weights' headers."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size}".encode())
            digest.update(file.read(1 << 20))
    return digest.hexdigest()


def save_adapter(folder: Path, adapters: Adapters, config: AdapterConfig) -> None:
    """Write an adapter in PEFT's format; a reader sees each file whole."""
    make_folder(folder)
    tensors = {
        f"base_model.model.{name}.{matrix}.weight": values.detach().float().cpu().contiguous()
        for name, each in adapters.items()
        for matrix, values in (("lora_A", each.lora_a), ("lora_B", each.lora_b))
    }
    write_file(folder / ADAPTER_WEIGHTS, save(tensors, metadata={"format": "pt"}))
    said = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(config.checkpoint),
        "r": config.rank,
        "lora_alpha": int(config.alpha) if config.alpha.is_integer() else config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": sorted({name.rpartition(".")[2] for name in adapters}),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "use_dora": False,
        "use_rslora": False,
    }
    write_file(folder / ADAPTER_CONFIG, json.dumps(said, indent=1).encode())


def save_llama(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write a Llama as Hugging Face's libraries and vLLM load it; the folder is whole or not there."""
    scratch = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.replace(folder)
    sync_folder(folder.parent)


def _require_llama(folder: Path) -> None:
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = said.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidFieldError(f"{folder} is no folder of a model: {error}", field=_FIELD) from error
    if kind != "llama":
        raise InvalidFieldError(f"{folder} holds a {kind}, and adapters are for Llamas", field=_FIELD)
    if not any(folder.glob("*.safetensors")):
        raise InvalidFieldError(f"{folder} holds no weights as safetensors", field=_FIELD)
