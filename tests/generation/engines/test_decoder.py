from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_generation.engines.decoder import CachedLlama


def llama(**changes: Any) -> LlamaForCausalLM:
    """A small Llama with norms that matter."""
    torch.manual_seed(1)
    fields: dict[str, Any] = {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 40,
        **changes,
    }
    language = LlamaForCausalLM(LlamaConfig(**fields))
    for name, weights in language.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.uniform_(weights, 0.5, 1.5)
        else:
            torch.nn.init.normal_(weights, std=0.3)
        weights.requires_grad = False
    return language


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 2},
        {"tie_word_embeddings": True},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
    ],
)
def test_it_computes_what_transformers_computes(changes: dict[str, Any]) -> None:
    """Logits are those of transformers to 1e-4 for prompts of different lengths, read in parts."""
    language = llama(**changes)
    texts = torch.randint(50, (3, 20))
    lengths = [5, 12, 17]
    with torch.inference_mode():
        expected = language(input_ids=texts).logits
    cached = CachedLlama(language, slots=4)
    for slot, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        cached.read(slot, text[:3], 0)
        cached.read(slot, text[3:length], 3)
    for more in range(3):
        places = torch.tensor(lengths) + more
        found = cached.next(texts[torch.arange(3), places], places)
        assert torch.allclose(found, expected[torch.arange(3), places], atol=1e-4)


def test_what_one_slot_has_read_others_can_copy() -> None:
    """A slot that copied a beginning goes on as if it had read that itself."""
    language = llama()
    first, second = torch.randint(50, (2, 12))
    second[:6] = first[:6]
    cached = CachedLlama(language, slots=2)
    cached.read(1, first, 0)
    cached.copy(1, 0, 6)
    cached.read(0, second[6:11], 6)
    with torch.inference_mode():
        expected = language(input_ids=second[None]).logits[0, -1]
    found = cached.next(second[11:], torch.tensor([11]))[0]
    assert torch.allclose(found, expected, atol=1e-4)


def test_bfloat16_is_near() -> None:
    """In bfloat16 it is as near to full precision as the format allows."""
    language = llama()
    text = torch.randint(50, (10,))
    with torch.inference_mode():
        expected = language(input_ids=text[None]).logits[0, -1]
    cached = CachedLlama(language.bfloat16(), slots=1)
    cached.read(0, text[:-1], 0)
    found = cached.next(text[-1:], torch.tensor([9]))[0]
    assert found.dtype == torch.float32
    assert torch.corrcoef(torch.stack([found, expected]))[0, 1] > 0.99


def test_other_llamas_are_refused() -> None:
    """A Llama that it would compute wrongly is refused with the reason."""
    with pytest.raises(ModelFailedError, match="biases"):
        CachedLlama(llama(attention_bias=True), slots=1)
    rotations = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    with pytest.raises(ModelFailedError, match="dynamic"):
        CachedLlama(llama(rope_parameters=rotations), slots=1)
