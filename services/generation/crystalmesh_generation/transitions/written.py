"""Written transitions as a teacher takes them: by pairs, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.language.words import SPECIAL, all_words
from crystalmesh_generation.transitions.answers import Answer
from crystalmesh_generation.transitions.prompts import Prompt, material_text, prompt_of

if TYPE_CHECKING:
    from crystalmesh_generation.pairs.pair_table import Pair
    from crystalmesh_generation.training.corpus import Corpus

_DESCRIPTIONS_KEPT = 100_000
_SHOWN, _SHOWN_CHARACTERS = 3, 20


class Questions:
    """The questions about the pairs of a corpus."""

    def __init__(self, corpus: Corpus, model: str) -> None:
        self._model = model
        self._source = lru_cache(_DESCRIPTIONS_KEPT)(lambda row: material_text(corpus.references[row]))
        # Targets and references of one table are the same materials.
        same = corpus.entries is corpus.references
        self._target = (
            self._source
            if same
            else lru_cache(_DESCRIPTIONS_KEPT)(lambda row: material_text(corpus.entries[row]))
        )

    def of(self, pair: Pair) -> Prompt:
        return prompt_of(self._source(pair.reference), self._target(pair.target), self._model)


class WrittenTransitions:
    """What a model wrote about the pairs of a corpus.

    Raises InvalidFieldError where it wrote nothing at all: then it was not asked yet.
    """

    def __init__(self, corpus: Corpus, model: str, answers: Mapping[str, Answer]) -> None:
        self._questions = Questions(corpus, model)
        self._texts = {
            key: answer.text for key, answer in answers.items() if answer.model == model and not answer.fault
        }
        if not self._texts:
            raise InvalidFieldError(
                f"no transition by {model} is in the folder of the corpus; have them written first, by the "
                "same command with --transitions-only",
                field="transitions",
            )

    def __call__(self, pair: Pair) -> str | None:
        """The transition of a pair; None where none was written that can be used."""
        return self._texts.get(self._questions.of(pair).key)

    def require_our_words(self) -> None:
        """Raise InvalidFieldError where a text has a word that our own model has no token for."""
        known = frozenset(all_words()) - frozenset(SPECIAL)
        unknown = sorted({word for text in self._texts.values() for word in text.split()} - known)
        if unknown:
            shown = ", ".join(repr(word[:_SHOWN_CHARACTERS]) for word in unknown[:_SHOWN])
            raise InvalidFieldError(
                f"our own model cannot read these transitions: {len(unknown)} of their words are none of its "
                f"{len(known)}, as {shown}. Train an adapter for a larger model ([adapter]), or leave out "
                "[transitions] for the analyser's texts",
                field="transitions",
            )
