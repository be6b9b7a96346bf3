"""What can be said about a crystal without a model."""

from __future__ import annotations

import pytest

from crystalmesh_common.crystal.description import describe
from tests.conftest import sodium_chloride


def test_rock_salt() -> None:
    """Rock salt is described by its facts."""
    salt = describe(sodium_chloride(a=5.64))
    assert (salt.reduced_formula, salt.anonymous_formula, salt.chemical_system) == ("NaCl", "AB", "Cl-Na")
    assert salt.n_atoms == 2
    assert salt.volume_cubic_angstrom == pytest.approx(5.64**3 / 4)
    assert salt.volume_per_atom_cubic_angstrom == pytest.approx(5.64**3 / 8)
    assert salt.density_g_per_cubic_centimeter == pytest.approx(2.16, abs=0.01)
    assert salt.shortest_distance_angstrom == pytest.approx(2.82)
    assert salt.symmetry.space_group_number == 225
