"""Text as the numbers of its words, by a tokenizer file that every engine reads as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_generation.language.words import BEGIN, END, PAD, SPECIAL, UNKNOWN, all_words

FILE = "tokenizer.json"


class WordTokenizer:
    """Words to numbers and back. Words that it does not know are `<unk>`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.ids: dict[str, int] = tokenizer.get_vocab()
        self.words: list[str] = sorted(self.ids, key=self.ids.__getitem__)
        self.pad, self.begin, self.end = self.ids[PAD], self.ids[BEGIN], self.ids[END]

    @classmethod
    def of_words(cls, words: Sequence[str] | None = None) -> WordTokenizer:
        """A new one, of our own words unless others are given."""
        vocabulary = {word: number for number, word in enumerate(words or all_words())}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.add_special_tokens(list(SPECIAL))
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path) -> WordTokenizer:
        """Read what `save` wrote. Raises DataCorruptError for a file that is none of ours."""
        try:
            return cls(Tokenizer.from_str((folder / FILE).read_text(encoding="utf-8")))
        except OSError:
            raise
        except Exception as error:  # the library raises nothing narrower
            raise DataCorruptError(f"{folder / FILE} is no tokenizer of words: {error}") from error

    def save(self, folder: Path) -> None:
        """Write the files that Hugging Face's libraries and vLLM look for."""
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / FILE, self._tokenizer.to_str(pretty=True).encode())
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BEGIN,
            "eos_token": END,
            "pad_token": PAD,
            "unk_token": UNKNOWN,
            "clean_up_tokenization_spaces": False,
        }
        write_file(folder / "tokenizer_config.json", json.dumps(config, indent=1).encode())

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> list[int]:
        """The numbers of the words of a text, special words among them; nothing is added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The words, parted by single spaces."""
        return " ".join(self.words[number] for number in ids)
