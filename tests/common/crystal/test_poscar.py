"""POSCAR in its varieties."""

from __future__ import annotations

import numpy as np
import pytest

from crystalmesh_common.crystal.poscar import parse_poscar
from crystalmesh_common.runtime.errors import CrystalError, InvalidCrystalError, UnreadableCrystalError
from tests.common.crystal.test_text import POSCAR


def test_selective_dynamics_and_velocities() -> None:
    """Flags, trailing symbols and velocities are passed over."""
    crystal = parse_poscar(POSCAR, max_atoms=8)
    assert crystal.numbers.tolist() == [11] * 4 + [17] * 4
    assert crystal.frac_coords[1].tolist() == [0, 0.5, 0.5]


def test_cartesian_and_scaled() -> None:
    """Cartesian positions and the lattice are both scaled, by a factor, one per axis, or a volume."""
    body = "1 0 0\n0 1 0\n0 0 1\nFe\n2\nCartesian\n0 0 0\n.5 .5 .5\n"
    for scale in ("2.84", "2.84 2.84 2.84", f"{-(2.84**3)}"):
        crystal = parse_poscar(f"iron\n{scale}\n{body}", max_atoms=2)
        np.testing.assert_allclose(crystal.cell, np.eye(3) * 2.84, atol=1e-9)
        np.testing.assert_allclose(crystal.frac_coords[1], [0.5, 0.5, 0.5])


def test_symbols_as_vasp_writes_them() -> None:
    """Potential names and hashes after the symbols, and Fortran exponents, are understood."""
    text = POSCAR.replace("Na Cl", "Na_pv Cl/0a1b2c3d").replace("5.69 0 0", "0.569D+01 0 0")
    crystal = parse_poscar(text, max_atoms=8)
    assert crystal.numbers.tolist() == [11] * 4 + [17] * 4
    assert crystal.cell[0, 0] == pytest.approx(5.69)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", UnreadableCrystalError, "the text ends before the comment"),
        ("c\n", UnreadableCrystalError, "the text ends before the scaling factor"),
        (POSCAR.replace("1.0\n", "one\n"), UnreadableCrystalError, "the scaling factor is 'one'"),
        (POSCAR.replace("1.0\n", "0\n"), InvalidCrystalError, "do not make a cell"),
        (POSCAR.replace("5.69 0 0", "5.69 0"), UnreadableCrystalError, "line 3: a lattice vector needs 3"),
        (POSCAR.replace("0 0 5.69", "0 0 inf"), UnreadableCrystalError, "line 5: a lattice vector is 'inf'"),
        (
            POSCAR.replace("Na Cl\n", ""),
            UnreadableCrystalError,
            "line 6: there are no element symbols (a VASP 4",
        ),
        (POSCAR.replace("Na Cl", "Na Qq"), UnreadableCrystalError, "line 6: 'Qq' is no element"),
        (POSCAR.replace("4 4", "4"), UnreadableCrystalError, "line 7: 2 elements need as many atom counts"),
        (POSCAR.replace("4 4", "4 -4"), UnreadableCrystalError, "line 7: 2 elements need as many"),
        (POSCAR.replace("Direct", "Polar"), UnreadableCrystalError, "line 9: the coordinate mode 'Polar'"),
        (POSCAR.replace("0 .5 .5", "0 .5 nan"), UnreadableCrystalError, "line 11: coordinates is 'nan'"),
        ("\n".join(POSCAR.splitlines()[:14]), UnreadableCrystalError, "the text ends before coordinates"),
    ],
)
def test_bad_poscar(text: str, error: type[CrystalError], message: str) -> None:
    """Each kind of bad POSCAR has its error, with the line."""
    with pytest.raises(error) as refused:
        parse_poscar(text, max_atoms=10)
    assert message in refused.value.message


def test_flat_lattice() -> None:
    """Cartesian positions in a flat lattice are refused; fractional ones are left to the validity check."""
    flat = POSCAR.replace("0 0 5.69", "0 0 0")
    with pytest.raises(InvalidCrystalError, match="do not span a volume"):
        parse_poscar(flat.replace("Direct", "Cartesian"), max_atoms=10)
    assert len(parse_poscar(flat, max_atoms=10)) == 8
