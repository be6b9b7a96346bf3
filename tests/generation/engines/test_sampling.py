from __future__ import annotations

import pytest
import torch

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_generation.engines.sampling import Chosen, choose


def chosen(
    logits: torch.Tensor, *, allowed: torch.Tensor | None = None, temperature: float = 1.0, top_p: float = 1.0
) -> Chosen:
    """Words for as many rows, with random numbers spread evenly."""
    count = len(logits)
    return choose(
        logits,
        torch.ones_like(logits, dtype=torch.bool) if allowed is None else allowed,
        torch.full((count,), temperature),
        torch.full((count,), top_p),
        (torch.arange(count) + 0.5) / count,
    )


def shares(words: list[int], size: int) -> torch.Tensor:
    return torch.bincount(torch.tensor(words), minlength=size) / len(words)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_words_come_as_often_as_they_are_likely(temperature: float) -> None:
    """Evenly spread numbers give each word its share, at any temperature."""
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5])
    found = chosen(logits.repeat(4000, 1), temperature=temperature)
    assert torch.allclose(shares(found.words, 5), (logits / temperature).softmax(-1), atol=1e-3)


def test_top_p_keeps_the_fewest_likeliest_words() -> None:
    """Of probabilities 0.5, 0.3, 0.15 and 0.05, a top_p of 0.7 keeps the first two, 0.4 the first alone."""
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    assert torch.allclose(
        shares(chosen(logits.repeat(4000, 1), top_p=0.7).words, 4),
        torch.tensor([0, 0.625, 0, 0.375]),
        atol=1e-3,
    )
    assert set(chosen(logits.repeat(100, 1), top_p=0.4).words) == {1}
    assert set(chosen(logits.repeat(100, 1), top_p=1e-9).words) == {1}


def test_top_p_of_many_equal_words_keeps_enough() -> None:
    """Where the likeliest words that are looked at first do not suffice, all are."""
    found = chosen(torch.zeros(3000, 1000), top_p=0.5)
    assert len(set(found.words)) >= 500


def test_what_is_not_allowed_never_comes() -> None:
    """Forbidden words have no share, and the log-probability is that of before any rule."""
    logits = torch.tensor([5.0, 0.0, 1.0, 9.0]).repeat(500, 1)
    allowed = torch.tensor([False, True, True, False]).repeat(500, 1)
    found = chosen(logits, allowed=allowed)
    assert set(found.words) == {1, 2}
    expected = logits[0].log_softmax(-1)[torch.tensor(found.words)]
    assert found.log_probabilities == pytest.approx(expected.tolist())
    assert set(chosen(logits, allowed=allowed, temperature=0.0).words) == {2}


def test_the_largest_random_number_chooses_an_allowed_word() -> None:
    """Rounding at the end of the unit interval leads to no word that may not follow."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(200, 500)
    allowed = torch.rand(200, 500) < 0.1
    ones, almost = torch.ones(200), torch.full((200,), 1 - 2**-24)
    found = choose(logits, allowed, ones, ones, almost)
    assert all(allowed[row, word] for row, word in enumerate(found.words))


def test_a_broken_model_is_an_error() -> None:
    """Logits that are no numbers raise."""
    with pytest.raises(ModelFailedError):
        chosen(torch.full((1, 4), torch.nan))
