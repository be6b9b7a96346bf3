from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from crystalmesh_retrieval.training.run import tokenizer_for, tokenizer_texts
from crystalmesh_retrieval.training.tokenizer import END, train_tokenizer
from tests.retrieval.training.datasets import pairs_of, tiny


@pytest.fixture(scope="module")
def tokenizer(split_folder: Path) -> PreTrainedTokenizerFast:
    return train_tokenizer(tokenizer_texts(tiny(), pairs_of(split_folder)), 700, 64)


def tokens(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]))


def test_elements_and_amounts_stay_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    """Every element of a formula is a token, and so is the amount behind it; the V of eV is no vanadium."""
    for text in ("Na2CaCl6", "Na2CaCl6; band gap 1.000 eV", "with Na, Ca, Cl"):
        found = tokens(tokenizer, text)
        assert {"Na", "Ca", "Cl"} <= set(found)
        assert "V" not in found
    assert tokens(tokenizer, "Na2CaCl6")[:5] == ["Na", "2", "Ca", "Cl", "6"]


def test_numbers_are_cut_where_decimals_end(tokenizer: PreTrainedTokenizerFast) -> None:
    """Two decimals and then single digits, so that no number has a token that was never learnt."""
    for number in ("1.234", "-0.987"):
        found = tokens(tokenizer, f"band gap {number} eV")
        first = found.index("band gap ") + 1
        assert "".join(found[first : found.index(" eV")]) == number
        assert number[-1] in found[first:]


def test_phrases_are_few_tokens(tokenizer: PreTrainedTokenizerFast, split_folder: Path) -> None:
    """A structure text has less than half as many tokens as words and marks."""
    text = pairs_of(split_folder)[0].structure
    pieces = text.replace(".", " .").replace(",", " ,").replace(":", " :").replace(";", " ;").split()
    assert len(tokens(tokenizer, text)) < len(pieces)


@given(st.text(max_size=200))
def test_every_text_can_be_read(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    """Any Unicode comes back as it was, but for its spaces and its normal form; nothing is ever empty."""
    text = text.encode("utf-8", "ignore").decode()
    ids = tokenizer(text)["input_ids"]
    assert ids
    assert tokenizer.convert_ids_to_tokens(ids)[-1] == END
    back = tokenizer.decode(ids, skip_special_tokens=True)
    expected = unicodedata.normalize("NFKC", text)
    if not any(mark in text for mark in ("<pad>", "</s>", "<unk>")):
        assert "".join(str(back).split()) == "".join(expected.split())


def test_same_texts_give_the_same_tokenizer(split_folder: Path, tmp_path: Path) -> None:
    """Learnt twice it is the same file; kept in the folder of a run it is not learnt again."""
    pairs = pairs_of(split_folder)
    first, second = (tokenizer_for(tiny(), pairs, tmp_path / name) for name in ("one", "two"))
    files = [tmp_path / name / "tokenizer" / "tokenizer.json" for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(first) == len(second)
    written = files[0].stat().st_mtime_ns
    tokenizer_for(tiny(), pairs, tmp_path / "one")
    assert files[0].stat().st_mtime_ns == written
