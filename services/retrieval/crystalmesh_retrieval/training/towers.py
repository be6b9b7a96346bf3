"""The two towers: transformers with a mean over their tokens, stored as `sentence-transformers` models."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from crystalmesh_common.runtime.errors import ModelNotFoundError
from crystalmesh_retrieval.encoders.encoder import Tower
from crystalmesh_retrieval.training.recipe import Architecture, Recipe


class TextTower(nn.Module):
    """A transformer whose vector of a text is the mean over its tokens, of length 1."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors (n, d) of texts, tokens and mask (n, t)."""
        states = self.transformer(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()  # (n, t, 1)
        means = (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        return nn.functional.normalize(means, dim=-1)


class TowerPair(nn.Module):
    """Both towers of an encoder in the making."""

    def __init__(self, properties: TextTower, structure: TextTower) -> None:
        super().__init__()
        self.properties = properties
        self.structure = structure

    def tower(self, which: Tower) -> TextTower:
        return self.properties if which is Tower.PROPERTIES else self.structure


def new_towers(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> TowerPair:
    """Towers to begin with: fresh ones by the recipe's seed, or both from its base.

    Raises ModelNotFoundError where the base is not at hand.
    """
    torch.manual_seed(recipe.seed)
    return TowerPair(*(TextTower(_transformer(recipe, tokenizer)) for _ in Tower))


def base_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    """The tokenizer that the recipe's base reads with. Raises ModelNotFoundError."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(recipe.base, model_max_length=recipe.max_tokens)
    except (OSError, ValueError) as error:
        raise _no_base(recipe) from error
    return tokenizer  # type: ignore[no-any-return]


def _transformer(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
    model: Any = T5EncoderModel if recipe.architecture is Architecture.T5 else BertModel
    if recipe.base:
        options = {} if recipe.architecture is Architecture.T5 else {"add_pooling_layer": False}
        try:
            return model.from_pretrained(recipe.base, dtype=torch.float32, **options)  # type: ignore[no-any-return]
        except (OSError, ValueError) as error:
            raise _no_base(recipe) from error
    if recipe.architecture is Architecture.T5:
        return _fresh_t5(recipe, len(tokenizer))
    return BertModel(_bert(recipe, len(tokenizer)), add_pooling_layer=False)


def _fresh_t5(recipe: Recipe, vocabulary: int) -> nn.Module:
    """T5's own beginning is meant for Adafactor, which scales steps by weights.

    With AdamW, layers that add nothing at first leave a mean over token embeddings, which the towers align
    in tens of steps; what the layers add comes after.
    """
    fresh = T5EncoderModel(_t5(recipe, vocabulary))
    with torch.no_grad():
        fresh.shared.weight.mul_(recipe.fresh_embeddings)
        for name, parameter in fresh.named_parameters():
            if name.endswith(("SelfAttention.o.weight", "DenseReluDense.wo.weight")):
                parameter.mul_(recipe.fresh_blocks)
    return fresh


def _no_base(recipe: Recipe) -> ModelNotFoundError:
    return ModelNotFoundError(
        f"no weights of {recipe.base!r} are at hand for {recipe.architecture}: give the folder of a model, "
        "or a name that can be downloaded from here, with --base; --preset compact needs none"
    )


def _t5(recipe: Recipe, vocabulary: int) -> T5Config:
    return T5Config(
        vocab_size=vocabulary,
        d_model=recipe.width,
        d_kv=recipe.width // recipe.heads,
        d_ff=recipe.feed_forward,
        num_layers=recipe.layers,
        num_heads=recipe.heads,
        dropout_rate=recipe.dropout,
        feed_forward_proj="relu",
        is_encoder_decoder=False,
        use_cache=False,
        pad_token_id=0,
        eos_token_id=1,
    )


def _bert(recipe: Recipe, vocabulary: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.feed_forward,
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=recipe.dropout,
        max_position_embeddings=recipe.max_tokens,
        type_vocab_size=1,
        pad_token_id=0,
    )


def save_tower(tower: TextTower, tokenizer: PreTrainedTokenizerFast, folder: Path, max_tokens: int) -> None:
    """Store a tower so that `SentenceTransformer(folder)` gives the same vectors, in safetensors."""
    # Reading cut texts short leaves its mark on a tokenizer, and the stored one is to depend on nothing.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with tempfile.TemporaryDirectory() as scratch:
        tower.transformer.save_pretrained(scratch)  # type: ignore[operator]
        tokenizer.save_pretrained(scratch)
        transformer = Transformer(scratch, max_seq_length=max_tokens)
        dimensions = transformer.get_embedding_dimension()
        model = SentenceTransformer(
            modules=[transformer, Pooling(dimensions, pooling_mode="mean"), Normalize()], device="cpu"
        )
        model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """The tokens of each text, cut to the longest that a tower reads."""
    read: Any = tokenizer(list(texts), truncation=True, max_length=max_tokens, return_attention_mask=False)
    ids: list[list[int]] = read["input_ids"]
    return ids


def encode(
    tower: TextTower, ids: Sequence[Sequence[int]], *, chunk: int = 64, autocast: torch.dtype | None = None
) -> Tensor:
    """Vectors (n, d) of token lists, in their order, worked through by length so that little is padded."""
    device = next(tower.parameters()).device
    order = sorted(range(len(ids)), key=lambda n: len(ids[n]))
    vectors = []
    for start in range(0, len(order), chunk):
        tokens, mask = _padded([ids[n] for n in order[start : start + chunk]], device)
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            vectors.append(tower(tokens, mask))
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(vectors)[back.to(device)]


def _padded(ids: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(map(len, ids))
    tokens = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for row, each in enumerate(ids):
        tokens[row, : len(each)] = torch.tensor(each)
        mask[row, : len(each)] = 1
    return tokens.to(device), mask.to(device)
