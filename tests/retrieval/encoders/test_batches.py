from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_retrieval.encoders.batches import batches


@given(st.lists(st.integers(1, 200)), st.integers(1, 600), st.integers(0, 80))
def test_batches(lengths: list[int], most_tokens: int, most_padding: int) -> None:
    """Every text is in one batch; a batch of several keeps both limits; longest come first."""
    made = list(batches(lengths, most_tokens, most_padding))
    assert sorted(position for batch in made for position in batch) == list(range(len(lengths)))
    for batch in made:
        longest = max(lengths[position] for position in batch)
        assert len(batch) == 1 or longest * len(batch) <= most_tokens
        assert sum(longest - lengths[position] for position in batch) <= most_padding
    ordered = [lengths[position] for batch in made for position in batch]
    assert ordered == sorted(lengths, reverse=True)
