from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from crystalmesh_relaxation.relaxing.motion import longest_rows, moved
from tests.conftest import silicon


def test_a_strain_is_taken_as_its_exponential() -> None:
    """The cell after a step is the old one times the matrix exponential of the strain, to rounding."""
    generator = np.random.default_rng(0)
    crystal = silicon()
    for _ in range(20):
        strain = generator.uniform(-0.05, 0.05, (3, 3))
        rows = np.concatenate([np.zeros((2, 3)), 1.4 * strain])
        np.testing.assert_allclose(moved(crystal, rows, 1.4).cell, crystal.cell @ expm(strain), atol=1e-12)


def test_steps_that_keep_to_their_longest_rows_are_taken_whole() -> None:
    """What an optimizer may ask of the cell is what the cell is given."""
    for scale in (1.0, 2.0, 10.0):
        longest = longest_rows(5, 2, scale)
        rows = np.zeros((5, 3))
        rows[2:] = np.diag(longest[2:])
        np.testing.assert_allclose(
            moved(silicon(), rows, scale).cell, silicon().cell @ expm(rows[2:] / scale), atol=1e-12
        )
