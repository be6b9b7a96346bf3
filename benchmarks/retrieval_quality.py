"""Whether the right structure is found by its properties: the paper's table on MP-20 test, T5, BERT and BM25.

Queries are property descriptions, candidates structure descriptions. Pools are drawn from the test split with
a fixed seed, ten draws each; ranks are pessimistic, so a candidate with the very same text stands before the
true one. "noformula" says nothing of elements on either side, "nospacegroup" no space group in the query.

The shipped encoder is measured as it is served. BERT's weights are not shipped: CRYSTALMESH_BERT names the
folder of an encoder trained by `crystalmesh train retrieval --architecture bert`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.datasets import dataset
from crystalmesh_retrieval.encoders.encoder import Encoder, Tower, Vectors
from crystalmesh_retrieval.encoders.loading import load_encoder
from crystalmesh_retrieval.training.bm25 import bm25_scores
from crystalmesh_retrieval.training.evaluation import QUESTIONS, Summary, by_cosine, by_matrix, evaluated
from crystalmesh_retrieval.training.pairs import Pair, read_pairs

SHIPPED = "compact-t5"
BERT = "CRYSTALMESH_BERT"
TEXTS = Path("build") / "retrieval-texts"
QUICK_ROWS = 1000
COLUMNS = ("top-1 in %", "top-5 in %", "average rank")
BARS = (71.35, 93.54, 1.59)
_TYPE_NAME = re.compile(r"(?:^|(?<=: ))[^.:]*?, (?=[A-Z0-9]+_[a-z][A-Z]\d)")

Table = Mapping[str, Mapping[int, Summary]]


def run(quick: bool) -> dict[str, float]:
    """Figures in percent, and average ranks; in `quick` the whole split is 1,000 of its rows."""
    pairs = test_pairs(quick)
    print(f"{len(pairs):,} rows of MP-20 test" + (", in place of all 8,546" if quick else ""))
    same = len(pairs) - len({pair.structure for pair in pairs})
    letters = len(pairs) - len({pair.structure_without_formula for pair in pairs})
    print(f"structure texts that another row has too: {same} with the formula, {letters} without")
    encoder = load_encoder(SHIPPED)
    print(f"{encoder.info.name} {encoder.info.version}")
    ours = told("T5", of_encoder(encoder, pairs))
    told("BM25", of_bm25(pairs))
    if folder := os.environ.get(BERT):
        told("BERT", of_encoder(load_encoder(folder), pairs))
    else:
        print(f"BERT: not measured, its weights are not shipped; {BERT} names a folder with some")
    without_names(encoder, pairs)
    return figures(ours)


def test_pairs(quick: bool) -> list[Pair]:
    """The test split in words; FileNotFoundError where the data set is not there."""
    table = dataset("mp20/test.parquet")
    pairs = read_pairs(table, TEXTS)
    return pairs[:: len(pairs) // QUICK_ROWS][:QUICK_ROWS] if quick else pairs


def of_encoder(encoder: Encoder, pairs: Sequence[Pair]) -> Table:
    """Every question, each text encoded once."""
    started = time.perf_counter()
    structures: dict[bool, Vectors] = {}
    table = {}
    for name, question in QUESTIONS.items():
        queries, candidates = question.texts(pairs)
        if question.formula not in structures:
            structures[question.formula] = encoder.encode(Tower.STRUCTURE, candidates).vectors
        asked = encoder.encode(Tower.PROPERTIES, queries).vectors
        table[name] = evaluated(by_cosine(asked, structures[question.formula]), len(pairs))
    print(f"encoded and ranked in {time.perf_counter() - started:.0f} s")
    return table


def of_bm25(pairs: Sequence[Pair]) -> Table:
    """The lexical baseline."""
    return {
        name: evaluated(by_matrix(bm25_scores(*question.texts(pairs))), len(pairs))
        for name, question in QUESTIONS.items()
    }


def without_names(encoder: Encoder, pairs: Sequence[Pair]) -> None:
    """What the names of structure types are worth: their table was written with all of MP-20 in view."""
    chosen = pairs[:QUICK_ROWS]
    shortened: Callable[[str], str] = lambda text: _TYPE_NAME.sub("", text, count=1)  # noqa: E731
    for name in ("formula", "noformula"):
        queries, candidates = QUESTIONS[name].texts(chosen)
        asked = encoder.encode(Tower.PROPERTIES, queries).vectors
        shares = []
        for texts in (candidates, [shortened(text) for text in candidates]):
            vectors = encoder.encode(Tower.STRUCTURE, texts).vectors
            shares.append(100 * evaluated(by_cosine(asked, vectors), len(chosen))[len(chosen)].top1)
        print(f"{name}: top-1 in {len(chosen):,} {shares[0]:.2f} %, type names taken out {shares[1]:.2f} %")


def told(name: str, table: Table) -> Table:
    """Print a table, and give it back."""
    for question, sizes in table.items():
        for size, found in sizes.items():
            print(
                f"{name:5} {question:23} pool {size:5,}: top-1 {100 * found.top1:6.2f} %, "
                f"top-5 {100 * found.top5:6.2f} %, average rank {found.average_rank:8.2f}"
            )
    return table


def figures(table: Table) -> dict[str, float]:
    """The figures of the last line and their like."""
    with_formula, without = table["formula"], table["noformula"]
    small, large = min(with_formula), max(with_formula)
    found = with_formula[small]
    values = (100 * found.top1, 100 * found.top5, found.average_rank)
    held = (values[0] >= BARS[0], values[1] >= BARS[1], values[2] <= BARS[2])
    for name, value, bar, holds in zip(COLUMNS, values, BARS, held, strict=True):
        print(f"pool {small}: {name} {value:.2f}, the bar is {bar}: {'holds' if holds else 'MISSED'}")
    return {
        "top1_pool32": 100 * found.top1,
        "top5_pool32": 100 * found.top5,
        "avg_rank_pool32": found.average_rank,
        "top1_pool1000": 100 * with_formula[min(1000, large)].top1,
        "top1_full": 100 * with_formula[large].top1,
        "top1_pool32_noformula": 100 * without[small].top1,
        "top1_full_noformula": 100 * without[large].top1,
        "avg_rank_full": with_formula[large].average_rank,
        "avg_rank_full_noformula": without[large].average_rank,
    }
