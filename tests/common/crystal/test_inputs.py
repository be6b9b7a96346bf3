"""A caller's crystal in whichever form it came."""

from __future__ import annotations

import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh_common.crystal.inputs import crystal_from_input
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from crystalmesh_common.runtime.errors import (
    InvalidFieldError,
    OverlappingAtomsError,
    TooManyAtomsError,
    UnreadableCrystalError,
)
from tests.conftest import block, iron, sodium_chloride


def _read(message: CrystalInput, *, max_atoms: int = 100) -> Crystal:
    return crystal_from_input(message, default_id="7", max_atoms=max_atoms)


def test_every_source() -> None:
    """The same crystal comes out of a message, a CIF and a POSCAR."""
    salt = sodium_chloride()
    for message in (
        CrystalInput(crystal=crystal_to_proto(salt)),
        CrystalInput(cif_text=crystal_to_cif(salt)),
        CrystalInput(poscar_text=crystal_to_poscar(salt)),
    ):
        crystal = _read(message)
        assert crystal.numbers.tolist() == [11, 17]
        assert crystal.volume == pytest.approx(salt.volume)
        np.testing.assert_allclose(crystal.frac_coords, salt.frac_coords, atol=1e-9)


def test_id() -> None:
    """The input's id goes before the one inside the crystal, and that before the position."""
    named, nameless = crystal_to_proto(iron("inside")), crystal_to_proto(iron(""))
    assert _read(CrystalInput(id="outside", crystal=named)).id == "outside"
    assert _read(CrystalInput(crystal=named)).id == "inside"
    assert _read(CrystalInput(crystal=nameless)).id == "7"
    assert _read(CrystalInput(cif_text=crystal_to_cif(iron("in-the-text")))).id == "7"
    assert _read(CrystalInput(id="outside", poscar_text=crystal_to_poscar(iron()))).id == "outside"


def test_no_source() -> None:
    """An input without a source is a missing field."""
    with pytest.raises(InvalidFieldError, match="one of crystal, cif_text and poscar_text"):
        _read(CrystalInput(id="empty"))


def test_everything_is_checked() -> None:
    """Whatever the source, what comes out has passed the check."""
    crowded = iron()
    crowded.frac_coords[1] = [1e-4, 0, 0]
    for message in (
        CrystalInput(crystal=crystal_to_proto(crowded)),
        CrystalInput(cif_text=crystal_to_cif(crowded)),
        CrystalInput(poscar_text=crystal_to_poscar(crowded)),
    ):
        with pytest.raises(OverlappingAtomsError):
            _read(message)
    with pytest.raises(TooManyAtomsError):
        _read(CrystalInput(crystal=crystal_to_proto(block(repeat=3))), max_atoms=53)
    with pytest.raises(UnreadableCrystalError):
        _read(CrystalInput(cif_text="rubbish"))
