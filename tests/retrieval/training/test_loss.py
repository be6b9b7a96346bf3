from __future__ import annotations

from math import exp, log

import pytest
import torch

from crystalmesh_retrieval.training.loss import nt_xent, same_texts

CPU = torch.device("cpu")
EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


def test_across_towers_by_hand() -> None:
    """Each of two pairs at right angles: -log(e^2 / (e^2 + e^0)) at temperature 1/2, both ways alike."""
    vectors = torch.tensor([EAST, NORTH])
    expected = -log(exp(2) / (exp(2) + 1))
    assert nt_xent(vectors, vectors, 0.5).item() == pytest.approx(expected, rel=1e-6)


def test_both_directions_count() -> None:
    """Queries and structures that are not symmetrical, each direction worked out by hand."""
    properties, structures = torch.tensor([EAST, EAST]), torch.tensor([EAST, NORTH])
    rows = (-log(exp(1) / (exp(1) + 1)) - log(1 / (exp(1) + 1))) / 2
    columns = -log(1 / 2)
    expected = (rows + columns) / 2
    assert nt_xent(properties, structures, 1.0).item() == pytest.approx(expected, rel=1e-6)


def test_both_towers_as_negatives_by_hand() -> None:
    """SimCLR's form: the other vector of the own tower stands in the sum, the vector itself does not."""
    properties, structures = torch.tensor([EAST, WEST]), torch.tensor([EAST, NORTH])
    first = -log(exp(1) / (exp(1) + exp(0) + exp(-1)))  # EAST: its partner, NORTH, WEST
    second = -log(exp(0) / (exp(-1) + exp(0) + exp(-1)))  # WEST: EAST, its partner NORTH, EAST
    third = -log(exp(1) / (exp(1) + exp(-1) + exp(0)))  # EAST of structures: EAST, WEST, NORTH
    fourth = -log(exp(0) / (exp(0) + exp(0) + exp(0)))  # NORTH: EAST, WEST, EAST
    expected = (first + second + third + fourth) / 4
    assert nt_xent(properties, structures, 1.0, negatives="both").item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("negatives", ["across", "both"])
def test_equal_texts_are_no_negatives(negatives: str) -> None:
    """Two materials of one text leave each other alone: alone among themselves, nothing is lost."""
    vectors = torch.tensor([EAST, EAST])
    same = same_texts(["one", "one"], CPU)
    assert nt_xent(vectors, vectors, 0.1, negatives=negatives, same=same).item() == pytest.approx(0.0)  # type: ignore[arg-type]
    different = same_texts(["one", "other"], CPU)
    assert nt_xent(vectors, vectors, 0.1, negatives=negatives, same=different).item() > 0.5  # type: ignore[arg-type]


def test_gradients_pull_partners_together() -> None:
    """A step against the gradient brings a vector nearer to its partner."""
    properties = torch.tensor([[0.8, 0.6], [0.0, 1.0]], requires_grad=True)
    structures = torch.tensor([EAST, NORTH])
    nt_xent(properties, structures, 0.1).backward()  # type: ignore[no-untyped-call]
    assert properties.grad is not None
    assert properties.grad[0] @ structures[0] < 0
