"""The model's words as people write them, and people's words as the model reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from crystalmesh_generation.language.words import SPECIAL, all_words

MAX_TRANSITION_WORDS = 120
"""Of a transition that somebody brings; as many as the model may write."""

_CLOSING = frozenset(";,.:")
_AROUND = ";,.:()[]{}\"'!?"
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*)+")
_PART = re.compile(r"([A-Z][a-z]?)(\d*)")
_NUMBER = re.compile(r"[+-]?\d{1,6}(?:\.\d{1,6})?")


def prose(words: Iterable[str]) -> str:
    """Words as text: "Na becomes K; volume per atom +12: a +4". The text of more words only adds to it."""
    parts: list[str] = []
    for word in words:
        if parts and word not in _CLOSING:
            parts.append(" ")
        parts.append(word)
    return "".join(parts)


def known_words(text: str, most: int = MAX_TRANSITION_WORDS) -> list[str]:
    """The words of a text that the model knows, none of which opens or closes a part of the conversation.

    Punctuation stands by itself, formulas are taken apart ("TiO2" is Ti O 2), other numbers become those
    that the model knows ("12.34%" is 12.3), and words are in small letters unless that loses them.
    """
    known: list[str] = []
    for piece in text[: 200 * most].split():
        known += _words_of(piece)
        if len(known) >= most:
            return known[:most]
    return known


def _words_of(piece: str) -> Iterator[str]:
    if piece in _VOCABULARY:
        yield piece
        return
    core = piece.strip(_AROUND)
    words = list(_core_words(core)) if core else []
    yield from words
    if words:
        yield from (mark for mark in piece[piece.find(core) + len(core) :] if mark in _CLOSING)


def _core_words(core: str) -> Iterator[str]:
    if core in _VOCABULARY:
        yield core
    elif core.lower() in _VOCABULARY:
        yield core.lower()
    elif _NUMBER.fullmatch(core.rstrip("%")):
        yield from _number_word(core.rstrip("%"))
    elif _FORMULA.fullmatch(core):
        parts = (part for match in _PART.findall(core) for part in match if part)
        yield from (part for part in parts if part in _VOCABULARY)
    elif re.search(r"[-/]", core):
        yield from (word for word in re.split(r"[-/]", core.lower()) if word in _VOCABULARY)


def _number_word(text: str) -> Iterator[str]:
    value = float(text)
    candidates = (
        (text, f"{value:+.0f}", f"{value:.0f}") if text[0] in "+-" else (f"{value:.1f}", f"{value:.0f}")
    )
    known = [word for word in candidates if word in _VOCABULARY]
    yield from known[:1]


_VOCABULARY = frozenset(all_words()) - frozenset(SPECIAL)
