"""Retrieval: does it find the right material, how fast does it read, and how fast does it search.

Three parts, each a benchmark of its own: `retrieval_quality`, `retrieval_encoding` and `retrieval_scale`.
"""

from __future__ import annotations

from benchmarks import retrieval_encoding, retrieval_quality, retrieval_scale

LAST_LINE = (
    "top1_pool32",
    "top5_pool32",
    "avg_rank_pool32",
    "top1_full",
    "top1_full_noformula",
    "encode_speedup",
    "recall10_1m",
    "p99_ms_1m",
)


def run(quick: bool) -> dict[str, float]:
    """All parts one after the other; the figures of the last line first, then the rest."""
    figures: dict[str, float] = {}
    for part in (retrieval_quality, retrieval_encoding, retrieval_scale):
        print(f"\n== {part.__name__.removeprefix('benchmarks.')}", flush=True)
        figures |= part.run(quick)
    first = {name: figures.pop(name) for name in LAST_LINE}
    return first | figures
