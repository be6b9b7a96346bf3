from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_retrieval.catalog.manifest import SegmentEntry
from crystalmesh_retrieval.catalog.merging import SEGMENT_ROWS, mergeable


def entry(rows: int, dead: int = 0) -> SegmentEntry:
    return SegmentEntry(
        file="0" * 24 + ".parquet", rows=rows, bytes=1, sha256="0" * 64, dead_rows=tuple(range(dead))
    )


def grown(batches: list[int]) -> tuple[list[int], int]:
    """Segments after these batches, and how many rows were rewritten."""
    segments: list[int] = []
    rewritten = 0
    for batch in batches:
        segments.append(batch)
        count = mergeable([entry(rows) for rows in segments])
        if count:
            merged = sum(segments[-count:])
            rewritten += merged
            segments[-count:] = [merged]
    return segments, rewritten


@given(st.lists(st.integers(1, 3000), max_size=120))
def test_segments_stay_few_and_bounded(batches: list[int]) -> None:
    """None is beyond the limit, no row is lost, and two neighbours are together more than the one before."""
    segments, _ = grown(batches)
    assert sum(segments) == sum(batches)
    assert max(segments, default=0) <= SEGMENT_ROWS
    for before, after in pairwise(segments):
        assert before > after or before + after > SEGMENT_ROWS


def test_rows_are_rewritten_about_as_often_as_they_double() -> None:
    """A thousand batches of one size end as few segments, each row rewritten at most ten times."""
    segments, rewritten = grown([10] * 1024)
    assert len(segments) <= 10
    assert rewritten <= 10 * 10 * 1024


def test_large_segments_are_left_alone() -> None:
    """What is full is never touched again; dead rows do not count."""
    assert mergeable([entry(SEGMENT_ROWS), entry(10)]) == 0
    assert mergeable([entry(SEGMENT_ROWS), entry(10), entry(10)]) == 2
    assert mergeable([entry(100, dead=95), entry(10)]) == 2
    assert mergeable([entry(5)]) == 0
