from __future__ import annotations

import pytest

from crystalmesh_retrieval.training.bm25 import bm25_scores, words

QUERY = "NaCl; space group 225; band gap 5.000 eV"
SALT = (
    "NaCl: rock salt (NaCl type), AB_cF8_225, cubic, space group Fm-3m (225). "
    "Na: octahedron of 6 Cl at 2.82 Å."
)
SILICON = (
    "Si: diamond (C type), A_cF8_227, cubic, space group Fd-3m (227). Si: tetrahedron of 4 Si at 2.35 Å."
)


def test_words_meet_where_chemists_would_match() -> None:
    """Formula, elements and space group are terms that both texts share; units are no elements."""
    shared = set(words(QUERY)) & set(words(SALT))
    assert {"NaCl", "Na", "Cl", "space-group-225"} <= shared
    assert "V" not in words(QUERY)
    assert {"Ti3O5", "Ti3", "Ti", "O5", "O"} <= set(words("Ti3O5; space group 12"))


def test_the_text_that_shares_more_scores_higher() -> None:
    """Salt is found by its formula, and nothing by what no text says."""
    pytest.importorskip("bm25s")
    scores = bm25_scores([QUERY, "silicon; space group 227", "of nothing known: xyzzy"], [SALT, SILICON])
    assert scores.shape == (3, 2)
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]
    alone = bm25_scores(["xyzzy"], [SALT, SILICON])
    assert (alone == 0).all()
