"""Texts into tokens, by a model's own `tokenizer.json`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crystalmesh_common.runtime.errors import DataCorruptError


@dataclass(frozen=True)
class Tokens:
    """What a tower reads of a text."""

    ids: list[int]  # at least one
    is_truncated: bool


class TextTokenizer:
    """The tokenizer of a tower. Threads may share it; each call computes on the caller's thread alone."""

    def __init__(self, path: Path, max_tokens: int | None) -> None:
        """Raises DataCorruptError where the file is no tokenizer."""
        # Threads are ours to count; the library would take every core.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer  # noqa: PLC0415 -- reads the variable above

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 -- the library raises nothing more special
            raise DataCorruptError(
                f"{path} is no tokenizer ({error}): restore the encoder's folder from a copy", file=path
            ) from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._max_tokens = max_tokens
        if max_tokens is not None:
            self._tokenizer.enable_truncation(max_tokens)

    def read(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text; one that has none is read as token 0, which is padding."""
        return [
            Tokens(ids or [0], len(ids) == self._max_tokens and bool(encoding.overflowing))
            for encoding in self._tokenizer.encode_batch_fast(list(texts))
            for ids in [encoding.ids]
        ]
