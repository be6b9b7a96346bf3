from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_relaxation.dynamics.averages import LaterHalf, Slope

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60)


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_the_slope_is_that_of_least_squares(values: list[float]) -> None:
    """The running slope equals the fit to all points at once."""
    slope = Slope()
    for x, y in enumerate(values):
        slope.observe(x, y)
    assert slope.value == pytest.approx(np.polyfit(range(len(values)), values, 1)[0], abs=1e-6)


def test_a_slope_of_one_point_is_none() -> None:
    """Before there are two points the slope is 0."""
    slope = Slope()
    assert slope.value == 0
    slope.observe(1, 5)
    assert slope.value == 0


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_the_later_half_of_a_short_run_is_exact(values: list[float]) -> None:
    """Up to 512 values it is the mean of those from the middle on."""
    half = LaterHalf()
    for value in values:
        half.observe(value)
    assert half.mean == pytest.approx(np.mean(values[len(values) // 2 :]), abs=1e-9)


@pytest.mark.parametrize("count", [513, 1024, 1025, 5_000, 100_001])
def test_the_later_half_of_a_long_run_begins_near_its_middle(count: int) -> None:
    """Of 0, 1, 2, … the mean is three quarters of the last, to within a 500th."""
    half = LaterHalf()
    for value in range(count):
        half.observe(value)
    assert half.mean == pytest.approx(0.75 * count, rel=0.003)
