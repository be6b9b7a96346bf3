"""Encoders of random weights, made in a second: T5 of several shapes and BERT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crystalmesh_retrieval.encoders.encoder import Tower
from crystalmesh_retrieval.encoders.folder import write_encoder_json
from crystalmesh_retrieval.encoders.measuring import measured_ranges
from crystalmesh_retrieval.encoders.ranges import write_ranges

MAX_TOKENS = 48
WIDTH = 32

TEXTS = [
    "NaCl; space group 225; band gap 5.000 eV",
    "NaCl: halite (NaCl type), cubic, space group Fm-3m (225). Na: octahedron of 6 Cl at 2.82 Å.",
    "TiO2: rutile. " * 3,
    "Ga",
    "  many   spaces\tand\nlines  ",
    "AlNi2; space group 164; formation energy -0.501 eV/atom; energy above hull 0.021 eV/atom",
    "layers of GaTe",
    "石英 ∞ é 🙂",
]
"""Of several lengths, all within what the tiny encoders read."""

LONG = "Na: octahedron of 6 Cl at 2.82 Å. " * 3000
"""100 kB."""


def tokenizer() -> Any:
    """Reads letters and bytes, and ends a text as T5 does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_TOKENS,
    )


def t5(*, seed: int, projection: str = "relu") -> Any:
    import torch
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(seed)
    return T5EncoderModel(
        T5Config(
            vocab_size=400,
            d_model=WIDTH,
            d_kv=16,
            d_ff=64,
            num_layers=2,
            num_heads=2,
            feed_forward_proj=projection,
            relative_attention_num_buckets=8,
            relative_attention_max_distance=20,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def bert(*, seed: int) -> Any:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=400,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS,
    )
    return BertModel(config, add_pooling_layer=False)


def save_tower(model: Any, folder: Path, *, dense: bool = False) -> None:
    """Store it as a `sentence-transformers` model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    raw = folder.with_name(folder.name + ".raw")
    model.save_pretrained(raw)
    tokenizer().save_pretrained(raw)
    modules = [Transformer(str(raw), max_seq_length=MAX_TOKENS), Pooling(WIDTH, pooling_mode="mean")]
    if dense:
        modules.append(Dense(WIDTH, 24, bias=True))
    stored = SentenceTransformer(modules=[*modules, Normalize()], device="cpu")
    stored.save_pretrained(str(folder), create_model_card=False)


def save_pair(folder: Path, *, measured: bool = False, **options: Any) -> Path:
    """Store a pair of T5 towers as an encoder."""
    for seed, tower in enumerate(Tower):
        save_tower(t5(seed=seed, **options), folder / tower)
        if measured:
            write_ranges(folder / tower, measured_ranges(folder / tower, TEXTS))
    write_encoder_json(
        folder,
        name="tiny",
        dimensions=WIDTH,
        max_tokens=MAX_TOKENS,
        describer="crystalmesh",
        description="random",
    )
    return folder


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
