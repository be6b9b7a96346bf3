"""A Llama with random weights and a tokenizer of byte pairs, as a folder of somebody else's model."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

_TEXTS = [
    "<target>\nformula Na 1 Cl 1; space group Fm-3m; band gap 5.0\n<reference>\n",
    "; Fm-3m rock salt; Na octahedron 6 Cl Cl Cl Cl Cl Cl; band gap at least 2.0\n<crystal>\n",
    "4.0 4.0 4.0\n60 60 60\nNa 0.00 0.00 0.00\nCl 0.50 0.50 0.50\n<transition>\n",
    "Na becomes K; Fm-3m kept; volume per atom +12: a +4 b +4 c +4; band gap falls to 5.0\n<crystal>\n",
] * 4


def write_llama(folder: Path, *, positions: int = 256) -> Path:
    """Write it; about 60,000 parameters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # has no types
        tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    # With the usual small weights no adapter could make it sure of anything.
    torch.nn.init.normal_(model.lm_head.weight, std=0.5)
    model.save_pretrained(folder)
    return folder
