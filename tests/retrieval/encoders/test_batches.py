from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_retrieval.encoders.batches import batches, even_share


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


def test_work_is_shared_evenly() -> None:
    """As many batches for each worker, none larger than the most; little work is not cut into crumbs."""
    assert even_share(4250, 896, 2, least=128) == 709  # three each
    assert even_share(900, 896, 1, least=128) == 450
    assert even_share(896, 896, 1, least=128) == 896
    assert even_share(100, 896, 2, least=128) == 128
    assert even_share(0, 896, 2, least=128) == 128
