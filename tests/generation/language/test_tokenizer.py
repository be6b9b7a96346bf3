"""The tokenizer: words to numbers and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_generation.language.tokenizer import WordTokenizer


def test_it_survives_its_file(tmp_path: Path) -> None:
    """A tokenizer that was saved and read gives the same numbers, and others' libraries read it too."""
    from transformers import AutoTokenizer

    tokenizer = WordTokenizer.of_words()
    tokenizer.save(tmp_path)
    text = "<s> <crystal> 5.6 5.6 5.6 90 90 90 Na 0.00 0.00 0.00 </s>"
    numbers = tokenizer.encode(text)
    assert WordTokenizer.load(tmp_path).encode(text) == numbers
    assert AutoTokenizer.from_pretrained(tmp_path)(text).input_ids == numbers
    assert tokenizer.decode(numbers) == text
    assert len(numbers) == len(text.split())


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Damage is an error of its own kind."""
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataCorruptError):
        WordTokenizer.load(tmp_path)
