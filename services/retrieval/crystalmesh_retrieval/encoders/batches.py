"""Which texts go through a tower together: those of about one length, as many as a cache holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], most_tokens: int, most_padding: int) -> Iterator[list[int]]:
    """Positions of texts, the longest first, in batches of at most `most_tokens` with their padding.

    A batch has at most `most_padding` tokens of it; a text that is longer than a batch has one to itself.
    """
    batch: list[int] = []
    longest = padding = 0
    for position in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        length = lengths[position]
        is_full = longest * (len(batch) + 1) > most_tokens or padding + longest - length > most_padding
        if batch and is_full:
            yield batch
            batch = []
        if not batch:
            longest, padding = length, 0
        batch.append(position)
        padding += longest - length
    if batch:
        yield batch


def even_share(total: int, most: int, workers: int, *, least: int) -> int:
    """The size of batches, at most `most`, of which every worker gets as many, all of about one size."""
    rounds = max(1, -(-total // (workers * most)))
    return max(least, -(-total // (workers * rounds)))
