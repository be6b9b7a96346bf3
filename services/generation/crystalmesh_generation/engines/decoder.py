"""A Llama's forward pass for many texts at once, each in a place of its own in one cache.

Hugging Face's modules spend more time between matrices than in them at this size. The weights are theirs,
fused where they are applied to the same input; a test holds the two to the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from crystalmesh_common.runtime.errors import ModelFailedError


@dataclass(frozen=True, eq=False)
class _Layer:
    """Weights (in, out); the norm before each is part of it."""

    attention_in: Tensor  # queries, keys, values
    attention_out: Tensor
    gate_and_up: Tensor
    down: Tensor


class CachedLlama:
    """A Llama that has read something in each of its slots, and reads on. On the language model's device.

    Raises ModelFailedError for a Llama with biases, or with rotations that change as it reads.
    """

    def __init__(self, language: LlamaForCausalLM, slots: int) -> None:
        config = language.config
        self.positions = int(config.max_position_embeddings)
        self._heads, self._shared = int(config.num_attention_heads), _shared_heads(language)
        self._head = int(_layers(language)[0].self_attn.head_dim)
        self._inner = int(config.intermediate_size)
        self._eps = float(config.rms_norm_eps)
        rotations = str(language.model.rotary_emb.rope_type)
        if any(name.endswith("_proj.bias") for name, _ in language.named_parameters()):
            raise ModelFailedError("this engine reads Llamas without biases only")
        if rotations in {"dynamic", "longrope"}:
            raise ModelFailedError(f"this engine does not know rotary embeddings of type {rotations}")
        with torch.no_grad():
            self._embedding = language.model.embed_tokens.weight.detach()
            self._layers = [_fused(layer) for layer in _layers(language)]
            self._to_words = _after(language.model.norm, [language.lm_head])
            places = torch.arange(self.positions, device=language.device)[None]
            cosines, sines = language.model.rotary_emb(self._embedding.float(), places)
        half = self._head // 2
        self._cosines, self._sines = cosines[0, :, None, :half].float(), sines[0, :, None, :half].float()
        shape = (len(self._layers), slots, self._shared, self.positions, self._head)
        self._keys = torch.zeros(shape, dtype=self._embedding.dtype, device=language.device)
        self._values = torch.zeros_like(self._keys)

    @property
    def device(self) -> torch.device:
        """Where words and places are to be."""
        return torch.device(self._embedding.device)

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """What one slot has read of its first words, for another slot."""
        self._keys[:, target, :, :length] = self._keys[:, source, :, :length]
        self._values[:, target, :, :length] = self._values[:, source, :, :length]

    @torch.inference_mode()
    def read(self, slot: int, words: Tensor, start: int) -> None:
        """Read words (n,) in a slot that has read `start` already."""
        end = start + len(words)
        causal = torch.ones(len(words), end, dtype=torch.bool, device=self.device).tril(start)
        state = self._embedding[words].float()
        places = slice(start, end)
        for number, layer in enumerate(self._layers):
            queries, keys, values = self._attend_to(state, layer, places)
            self._keys[number, slot, :, places] = keys.transpose(0, 1)
            self._values[number, slot, :, places] = values.transpose(0, 1)
            seen = functional.scaled_dot_product_attention(
                queries.transpose(0, 1)[None],  # (1, heads, n, head)
                self._keys[number, slot, :, :end][None],
                self._values[number, slot, :, :end][None],
                attn_mask=causal if start else None,
                is_causal=not start,
                enable_gqa=self._heads != self._shared,
            )
            state = self._finish(state, seen[0].transpose(0, 1).flatten(1), layer)

    @torch.inference_mode()
    def next(self, words: Tensor, places: Tensor) -> Tensor:
        """Read one word (slots,) in each of the first slots, at these places; logits (slots, words)."""
        count, longest = len(words), int(places.max()) + 1
        rows = torch.arange(count, device=self.device)
        beyond = torch.arange(longest, device=self.device)[None] > places[:, None]
        mask = torch.zeros(beyond.shape, device=self.device, dtype=self._embedding.dtype)
        mask = mask.masked_fill_(beyond, -math.inf)[:, None, None]  # (slots, 1, 1, longest)
        state = self._embedding[words].float()
        for number, layer in enumerate(self._layers):
            queries, keys, values = self._attend_to(state, layer, places)
            self._keys[number][rows, :, places] = keys
            self._values[number][rows, :, places] = values
            grouped = queries.reshape(count, self._shared, -1, self._head)
            before = self._keys[number, :count, :, :longest]
            scores = torch.matmul(grouped, before.transpose(2, 3)).div_(math.sqrt(self._head)).add_(mask)
            seen = torch.matmul(scores.softmax(-1), self._values[number, :count, :, :longest])
            state = self._finish(state, seen.flatten(1), layer)
        return (self._normed(state) @ self._to_words).float()

    def _attend_to(
        self, state: Tensor, layer: _Layer, places: Tensor | slice
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (n, heads, head) of a state (n, width), the first two rotated."""
        heads = (self._normed(state) @ layer.attention_in).view(len(state), -1, self._head)
        turning = heads[:, : self._heads + self._shared].float()
        first, second = turning.chunk(2, dim=-1)
        cosines, sines = self._cosines[places], self._sines[places]
        turned = torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)
        turned = turned.to(heads.dtype)
        return turned[:, : self._heads], turned[:, self._heads :], heads[:, self._heads + self._shared :]

    def _finish(self, state: Tensor, seen: Tensor, layer: _Layer) -> Tensor:
        """The state after a layer, from what its attention saw (n, heads * head)."""
        state = state + seen @ layer.attention_out
        wide = self._normed(state) @ layer.gate_and_up
        return state + (functional.silu(wide[:, : self._inner]) * wide[:, self._inner :]) @ layer.down

    def _normed(self, state: Tensor) -> Tensor:
        scale = torch.rsqrt(state.square().mean(-1, keepdim=True) + self._eps)
        return (state * scale).to(self._embedding.dtype)


def _shared_heads(language: LlamaForCausalLM) -> int:
    """Heads of keys and values, each shared by a group of query heads."""
    return int(language.config.num_key_value_heads or language.config.num_attention_heads)


def _layers(language: LlamaForCausalLM) -> list[LlamaDecoderLayer]:
    return [layer for layer in language.model.layers if isinstance(layer, LlamaDecoderLayer)]


def _fused(layer: LlamaDecoderLayer) -> _Layer:
    attention, network = layer.self_attn, layer.mlp
    return _Layer(
        _after(layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj]),
        attention.o_proj.weight.t().contiguous(),
        _after(layer.post_attention_layernorm, [network.gate_proj, network.up_proj]),
        network.down_proj.weight.t().contiguous(),
    )


def _after(norm: LlamaRMSNorm, projections: Sequence[nn.Linear]) -> Tensor:
    """The weights (in, out) of projections side by side, each multiplied by the norm's."""
    weights = torch.cat([projection.weight for projection in projections])
    fused: Tensor = (weights.float() * norm.weight.float()).to(weights.dtype).t().contiguous()
    return fused
