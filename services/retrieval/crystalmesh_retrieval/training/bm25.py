"""The lexical baseline: BM25 over the same texts, cut into the words that a chemist would match."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from crystalmesh_common.runtime.errors import ModelNotFoundError
from crystalmesh_retrieval.training.evaluation import Scores

_SPACE_GROUP = re.compile(r"space group (?:\S+ \()?(\d{1,3})\)?")
_FORMULA = re.compile(r"(?<![A-Za-z])(?:[A-Z][a-z]?\d*)+(?=[:;,. ]|$)")
_PART = re.compile(r"[A-Z][a-z]?\d*")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*|-?\d+(?:\.\d+)?")
_ELEMENT = re.compile(r"[A-Z][a-z]?")


def words(text: str) -> list[str]:
    """The terms of a text: words, numbers, a space group as one term, a formula whole and in parts.

    "NaCl; space group 225" and "NaCl: … space group Fm-3m (225)" share NaCl, Na, Cl and the space group.
    """
    terms = [f"space-group-{number}" for number in _SPACE_GROUP.findall(text)]
    rest = _SPACE_GROUP.sub(" ", text)
    for formula in _FORMULA.findall(rest):
        parts = _PART.findall(formula)
        terms += [formula, *(part for part in parts if part != formula)]
        terms += [element for part in parts if (element := _ELEMENT.findall(part)[0]) not in (part, formula)]
    return terms + [word.lower() for word in _WORD.findall(_FORMULA.sub(" ", rest))]


def bm25_scores(queries: Sequence[str], candidates: Sequence[str]) -> Scores:
    """The score of every candidate for every query, (queries, candidates), by Lucene's BM25.

    How rare a term is, is counted over all candidates given. Raises ModelNotFoundError without bm25s.
    """
    try:
        import bm25s  # type: ignore[import-untyped]  # noqa: PLC0415 -- only the baseline needs it
    except ImportError:
        raise ModelNotFoundError("the lexical baseline needs bm25s: pip install bm25s") from None
    corpus = [words(text) for text in candidates]
    vocabulary = {term: n for n, term in enumerate(sorted({term for text in corpus for term in text}))}
    index = bm25s.BM25(k1=1.5, b=0.75)
    index.index([[vocabulary[term] for term in text] for text in corpus], show_progress=False)
    scores = np.zeros((len(queries), len(candidates)), dtype=np.float32)
    for row, text in enumerate(queries):
        known = [vocabulary[term] for term in words(text) if term in vocabulary]
        if known:
            scores[row] = index.get_scores(known)
    return scores
