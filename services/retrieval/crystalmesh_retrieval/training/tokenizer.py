"""The own tokenizer: elements and amounts stay whole, phrases become one token, numbers few.

Byte-pair encoding that may merge across spaces, between places where it may not: an element, the amount
behind it, a number. A structure text has a third as many tokens as words. Any text can be read; what no
token covers is read as bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from crystalmesh_common.crystal.elements import SYMBOLS

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"

_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_MOST_CHARACTERS_OF_A_TOKEN = 48


def _pieces() -> str:
    """What is cut out of a text; phrases are what lies between. The first that fits counts.

    Reading is a search at every character, so elements are told by their first letter.
    """
    symbols = _symbols()
    ligand = rf"(?<=\d [A-Z]|\d [A-Z][a-z])(?:{symbols})\d{{1,2}}"  # "O6" of "6 TiO6"
    return "|".join(
        (
            r"space group \S+ \(\d{1,3}\)",  # of structures: "space group Fm-3m (225)"
            r"(?:; )?space group \d{1,3}(?!\d)",  # of properties
            r"(?:[A-Z]\d{0,2})+(?=_[a-z][A-Z]\d)",  # stoichiometry: "ABC2" of "ABC2_oC16_63"
            r"_[a-z][A-Z]\d{1,3}(?=_\d)",  # Pearson symbol
            r"(?<=\d)_\d{1,3}(?!\d)",
            r"-?\d{1,3}\.\d{1,2}",  # "-2.13" of "-2.127"
            rf"(?=[A-Z])(?:{ligand}|(?<! e)(?:{symbols})(?![a-z]))",  # but the V of " eV"
            r"(?<=[A-Za-z)])\d{1,3}(?![\d.])",  # amounts
            r"(?<=\.\d\d)\d",  # further decimals one by one
        )
    )


def _symbols() -> str:
    """All elements, two letters before one: "B[aehikr]?|C[adeflmnorsu]?|D[bsy]…"."""
    told = []
    for first, group in groupby(sorted(symbol for symbol in SYMBOLS if symbol), key=lambda symbol: symbol[0]):
        alike = list(group)
        seconds = "".join(symbol[1] for symbol in alike if len(symbol) > 1)
        told.append(first + (f"[{seconds}]" if seconds else "") + ("?" if seconds and first in alike else ""))
    return "|".join(told)


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_tokens: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most so many tokens, learnt from the texts; the same for the same texts."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_pieces()), behavior="isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[PAD, END, UNKNOWN, *_BYTES],
        initial_alphabet=[chr(code) for code in range(32, 127)],
        max_token_length=_MOST_CHARACTERS_OF_A_TOKEN,
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *(s for s in SYMBOLS if s for _ in range(2))], trainer)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return _reading(_with_plain_bytes(tokenizer), max_tokens)


def stored_tokenizer(path: Path, max_tokens: int) -> PreTrainedTokenizerFast:
    """The tokenizer of a `tokenizer.json` that `train_tokenizer` made."""
    return _reading(Tokenizer.from_file(str(path)), max_tokens)


def _reading(tokenizer: Tokenizer, max_tokens: int) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=max_tokens,
        clean_up_tokenization_spaces=False,
    )


def _with_plain_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The trainer makes bytes special tokens, which decoding leaves out and a text could name."""
    stored = json.loads(tokenizer.to_str())
    stored["added_tokens"] = [token for token in stored["added_tokens"] if token["content"] not in _BYTES]
    return Tokenizer.from_str(json.dumps(stored))
