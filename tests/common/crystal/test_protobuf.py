"""The crystal on the wire."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from crystalmesh.crystal.v1 import crystal_pb2
from crystalmesh_common.crystal.protobuf import crystal_from_proto, crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError
from tests.common.crystal.strategies import crystals
from tests.conftest import iron


@settings(deadline=None, max_examples=100)
@given(crystal=crystals())
def test_round_trip(crystal: Crystal) -> None:
    """Any crystal comes back from the wire bit for bit."""
    wire = crystal_to_proto(crystal).SerializeToString()
    back = crystal_from_proto(crystal_pb2.Crystal.FromString(wire))
    np.testing.assert_array_equal(back.cell, crystal.cell)
    np.testing.assert_array_equal(back.numbers, crystal.numbers)
    np.testing.assert_array_equal(back.frac_coords, crystal.frac_coords)
    assert back.id == crystal.id
    assert dict(back.scalars) == dict(crystal.scalars)
    if crystal.magnetic_moments is None:
        assert back.magnetic_moments is None
    else:
        np.testing.assert_array_equal(back.magnetic_moments, crystal.magnetic_moments)


def test_arrays_are_its_own() -> None:
    """A crystal does not change when the message it came from does."""
    message = crystal_to_proto(iron())
    crystal = crystal_from_proto(message)
    message.cell_angstrom[0] = 99.0
    message.fractional_coordinates[0] = 0.9
    assert crystal.cell[0, 0] == 2.84
    assert crystal.frac_coords[0, 0] == 0.0


@pytest.mark.parametrize(
    ("field", "count", "message"),
    [
        ("cell_angstrom", 8, "8 values instead of 9"),
        ("fractional_coordinates", 5, "need 6 fractional coordinates, there are 5"),
        ("magnetic_moments_mu_b", 1, "2 atoms need as many magnetic moments or none, there are 1"),
    ],
)
def test_lengths_that_disagree(field: str, count: int, message: str) -> None:
    """Arrays that disagree in length are refused with both lengths and the field."""
    proto = crystal_to_proto(iron())
    del getattr(proto, field)[count:]
    with pytest.raises(InvalidCrystalError, match=message) as refused:
        crystal_from_proto(proto)
    assert refused.value.details["field"] == field


def test_light() -> None:
    """Reading and writing messages, CIF and POSCAR imports none of pymatgen, ASE, scipy and moyopy."""
    code = (
        "import sys; import crystalmesh_common.crystal.protobuf, crystalmesh_common.crystal.inputs;"
        "print(sorted({'pymatgen', 'ase', 'scipy', 'moyopy', 'smact'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
