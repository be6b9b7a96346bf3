"""The conversation as people and other people's language models read it.

    <target>
    formula K 1 Br 1; space group Fm-3m
    <reference>
    Na 1 Cl 1; Fm-3m rock salt; Na octahedron 6 Cl; Cl octahedron 6 Na
    <crystal>
    4.0 4.0 4.0
    60 60 60
    Na 0.00 0.00 0.00
    Cl 0.50 0.50 0.50
    <transition>
    Na becomes K; Cl becomes Br; …
    <crystal>
    …

The words are those of our own model, whose tokens the marks are; here they are text like the rest.
"""

from __future__ import annotations

from crystalmesh_generation.language.alx import in_lines
from crystalmesh_generation.language.prose import prose
from crystalmesh_generation.language.words import BEGIN, CRYSTAL, END, SPECIAL

_DROPPED = frozenset({BEGIN, END})
_MARKS = frozenset(SPECIAL) - _DROPPED


def laid_out(prompt: str, completion: str = "") -> tuple[str, str]:
    """Prompt and completion of `templates`, laid out in lines; the prompt ends with a line end."""
    blocks = _blocks(prompt.split())
    read = _joined(blocks)
    whole = _joined(_blocks([*prompt.split(), *completion.split()]))
    return read, whole[len(read) :].rstrip("\n")


def _blocks(words: list[str]) -> list[str]:
    """Marks, and what stands between them, each to begin a line."""
    blocks: list[str] = []
    mark, between = "", []
    for word in [*words, ""]:
        if word and word not in _MARKS:
            between += [] if word in _DROPPED else [word]
            continue
        if between:
            blocks.append(in_lines(" ".join(between)) if mark == CRYSTAL else prose(between))
        if word:
            blocks.append(word)
        mark, between = word, []
    return blocks


def _joined(blocks: list[str]) -> str:
    return "".join(f"{block}\n" for block in blocks)
