"""Reading and writing CIF and POSCAR as callers do it: safe for any text, faithful for good text."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal import text as reading
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal, cell_parameters
from crystalmesh_common.crystal.text import (
    crystal_from_cif,
    crystal_from_poscar,
    crystal_to_cif,
    crystal_to_poscar,
    crystals_from_cif,
)
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import (
    CrystalError,
    CrystalMeshError,
    DisorderedCrystalError,
    InvalidCrystalError,
    TooManyAtomsError,
    UnreadableCrystalError,
)
from tests.common.crystal.strategies import crystals, mutations
from tests.conftest import block, iron, silicon, sodium_chloride

CELL = """data_salt
_cell_length_a 5.69(2)
_cell_length_b 5.69
_cell_length_c 5.69
_cell_angle_alpha 90
_cell_angle_beta 90.0
_cell_angle_gamma 90
"""
SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na+ 0 0 0 1.0
Cl1 Cl- .5 .5 .5 1
"""
SALT = f"# rock salt\n{CELL}_space_group_name_H-M_alt 'F m -3 m'\n{SITES}"
POSCAR = """rock salt
1.0
  5.69 0 0
  0 5.69 0
  0 0 5.69
Na Cl
4 4
Selective dynamics
Direct
0 0 0 T T F
0 .5 .5 T T T
.5 0 .5 T T T
.5 .5 0 T T T
.5 .5 .5 T T T Cl
.5 0 0 T T T
0 .5 0 T T T
0 0 .5 T T T

  0.1 0.2 0.3
"""


@settings(deadline=None, max_examples=100)
@given(crystal=crystals())
def test_cif_round_trip(crystal: Crystal) -> None:
    """Any crystal survives CIF: lengths, angles and fractional coordinates to 1e-6, sites in order."""
    back = crystal_from_cif(crystal_to_cif(crystal))
    for ours, theirs in zip(cell_parameters(back.cell), cell_parameters(crystal.cell), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_array_equal(back.numbers, crystal.numbers)
    np.testing.assert_allclose(back.frac_coords, crystal.frac_coords, atol=1e-6)


@settings(deadline=None, max_examples=100)
@given(crystal=crystals())
def test_poscar_round_trip(crystal: Crystal) -> None:
    """Any crystal survives POSCAR to 1e-6, sites in order."""
    back = crystal_from_poscar(crystal_to_poscar(crystal))
    np.testing.assert_allclose(back.cell, crystal.cell, atol=1e-6)
    np.testing.assert_array_equal(back.numbers, crystal.numbers)
    np.testing.assert_allclose(back.frac_coords, crystal.frac_coords, atol=1e-6)


@settings(deadline=None, max_examples=400)
@given(text=st.one_of(mutations(SALT), mutations(crystal_to_cif(silicon(), symprec=0.01))))
def test_damaged_cif(text: str) -> None:
    """A damaged CIF gives a crystal or a short CrystalMeshError, and nothing else."""
    _read_anyhow(text)


@settings(deadline=None, max_examples=300)
@given(text=mutations(POSCAR))
def test_damaged_poscar(text: str) -> None:
    """A damaged POSCAR gives a crystal or a short CrystalMeshError, and nothing else."""
    _read_anyhow(text)


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_noise(text: str) -> None:
    """Random text and bytes give a short CrystalMeshError, in either format and behind a good start."""
    _read_anyhow(text)
    _read_anyhow(CELL + text)


def _read_anyhow(text: str) -> None:
    for read in (crystal_from_cif, crystal_from_poscar):
        error: CrystalMeshError | None = None
        try:
            crystal = read(text, max_atoms=50)
        except CrystalMeshError as raised:
            error = raised
        else:
            with suppress(CrystalError):
                check_crystal(crystal, max_atoms=50)
        assert error is None or 0 < len(error.message) < 300


def test_space_group_by_name() -> None:
    """A CIF that names its space group and lists one site per orbit gives the whole cell."""
    salt = crystal_from_cif(SALT)
    assert salt.id == "salt"
    assert sorted(salt.numbers) == [11] * 4 + [17] * 4
    assert salt.cell == pytest.approx(np.eye(3) * 5.69)
    assert crystal_from_cif(SALT, id="mine").id == "mine"


def test_listed_operations_win() -> None:
    """Where operations are listed, they count and the name of the group does not."""
    listed = SALT.replace(
        "_space_group_name", "loop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'\n_space_group_name"
    )
    assert len(crystal_from_cif(listed)) == 2


@pytest.mark.parametrize("crystal", [sodium_chloride(), silicon(), iron(), block(repeat=2)])
def test_symmetrized(crystal: Crystal) -> None:
    """With a tolerance, a CIF lists one site per orbit, and reads back as the same material."""
    from pymatgen.core.structure_matcher import StructureMatcher
    from pymatgen.io.cif import CifParser

    written = crystal_to_cif(crystal, symprec=0.01)
    sites = [line for line in written.splitlines() if line.endswith(" 1") and line[0].isupper()]
    assert len(sites) == len(set(crystal.numbers.tolist()))
    back = to_structure(crystal_from_cif(written))
    assert StructureMatcher().fit(back, to_structure(crystal))
    theirs = CifParser.from_str(written).parse_structures(primitive=False)[0]
    assert len(theirs) == len(back)


def test_rounded_coordinates() -> None:
    """An atom written as (0.333, 0.667) is one atom on its axis, not a cloud around it."""
    magnesium = CELL.replace("gamma 90", "gamma 120").replace("c 5.69", "c 9.1") + (
        "_symmetry_Int_Tables_number 194\nloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n"
        "_atom_site_fract_z\nMg1 0.333 0.667 0.25\n"
    )
    crystal = crystal_from_cif(magnesium)
    assert len(crystal) == 2
    np.testing.assert_allclose(crystal.frac_coords[0], [1 / 3, 2 / 3, 0.25], atol=1e-12)


def test_several_structures() -> None:
    """Several structures are refused with their number, and read as a list by who asks for it."""
    two = SALT + SALT.replace("data_salt", "data_pepper").replace("Na", "K") + "data_nothing\n_audit 1\n"
    with pytest.raises(UnreadableCrystalError, match="describes 2 structures instead of one"):
        crystal_from_cif(two)
    assert [crystal.id for crystal in crystals_from_cif(two)] == ["salt", "pepper"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", UnreadableCrystalError, "no data block with atoms"),
        ("hello", UnreadableCrystalError, "line 1: 'hello' comes before any data_ block"),
        (CELL, UnreadableCrystalError, "no data block with atoms"),
        (SALT.replace("_cell_length_a 5.69(2)\n", ""), UnreadableCrystalError, "_cell_length_a is missing"),
        (SALT.replace("a 5.69(2)", "a ?"), UnreadableCrystalError, "_cell_length_a is missing"),
        (SALT.replace("5.69(2)", "nan"), UnreadableCrystalError, "_cell_length_a is 'nan'"),
        (SALT.replace("5.69(2)", "1e999"), UnreadableCrystalError, "not a finite number"),
        (SALT.replace("5.69(2)", "-5"), InvalidCrystalError, "not all positive"),
        (SALT.replace("5.69(2)", "1e308"), InvalidCrystalError, "a cell length is more than 10000 Å"),
        (SALT.replace("Na+ 0", "Na+ 1e308"), InvalidCrystalError, "site 'Na1' has a coordinate beyond 1e+06"),
        (SALT.replace("gamma 90", "gamma 180"), InvalidCrystalError, "between 0 and 180"),
        (SALT.replace("alpha 90", "alpha 10").replace("90.0", "10"), InvalidCrystalError, "span a volume"),
        (SALT.replace("1.0\n", "0.7\n"), DisorderedCrystalError, "site 'Na1' has occupancy 0.7"),
        (SALT.replace("Na+", "Qq"), UnreadableCrystalError, "site 'Na1' holds 'Qq', which is no element"),
        (SALT.replace("Na+ 0", "Na+ ?"), UnreadableCrystalError, "x of 'Na1' is '?'"),
        (SALT.replace("F m", "Q m"), UnreadableCrystalError, "space group 'Q m -3 m' is not known"),
        (SALT.replace("F m -3 m", "P 63/m m c"), UnreadableCrystalError, "does not have the symmetry"),
        (SALT.replace("F m", "F d"), UnreadableCrystalError, "several settings"),
        (SALT.replace(" 1.0", ""), UnreadableCrystalError, "a loop of 6 tags has 11 values"),
        (SALT.replace("-3 m'", "-3 m"), UnreadableCrystalError, "line 9: a quote is never closed"),
        (SALT + ";\nforever", UnreadableCrystalError, "a text field is never closed"),
        (SALT + "save_x", UnreadableCrystalError, "save frames"),
        (SALT.replace("_fract_", "_Cartn_"), UnreadableCrystalError, "no data block with atoms"),
        (CELL + "_cell_modulation_dimension 1\n" + SITES, UnreadableCrystalError, "modulated"),
    ],
)
def test_bad_cif(text: str, error: type[CrystalError], message: str) -> None:
    """Each kind of bad CIF has its error, with a message that says what and where."""
    with pytest.raises(error) as refused:
        crystal_from_cif(text)
    assert message in refused.value.message


def test_implicit_hydrogen() -> None:
    """A site with hydrogens that have no coordinates is refused, because the formula would be wrong."""
    wet = SALT.replace("_atom_site_occupancy", "_atom_site_attached_hydrogens").replace(" 1.0\n", " 2\n")
    with pytest.raises(UnreadableCrystalError, match="'Na1' carries hydrogen"):
        crystal_from_cif(wet)


def test_too_many_atoms() -> None:
    """Atoms are counted while symmetry writes them out, and by their rows before anything else."""
    with pytest.raises(TooManyAtomsError, match="more than 7 atoms"):
        crystal_from_cif(SALT, max_atoms=7)
    with pytest.raises(TooManyAtomsError, match="54 atoms; at most 53"):
        crystal_from_cif(crystal_to_cif(block(repeat=3)), max_atoms=53)
    with pytest.raises(TooManyAtomsError, match="8 atoms; at most 7"):
        crystal_from_poscar(POSCAR, max_atoms=7)
    with pytest.raises(TooManyAtomsError, match="999999999 atoms"):
        crystal_from_poscar(POSCAR.replace("4 4", "999999995 4"))


def test_explosive_symmetry() -> None:
    """Thousands of operations are refused, and a thousand over ten thousand sites stop at the limit."""
    operations = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"x+.{k:03d},y,z\n" for k in range(1000))
    sites = SITES + "Na2 Na .1 .2 .3 1\n" * 2000
    with pytest.raises(TooManyAtomsError):
        crystal_from_cif(CELL + operations + sites)
    with pytest.raises(UnreadableCrystalError, match="1001 symmetry operations"):
        crystal_from_cif(CELL + operations + "x,y,z\n" + sites)


@pytest.mark.parametrize("filler", ["'a ", '"a ', ";\n", "loop_ _a 1 ", "[[", "data_ ", "_x _y ", "# ", "\n"])
def test_long_repetitions(filler: str) -> None:
    """Repetitions of what syntax is made of are read in time linear in their length."""
    with pytest.raises(UnreadableCrystalError):
        crystal_from_cif("data_x\n" + filler * (200_000 // len(filler)))


def test_too_much_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text beyond the limit is refused before it is read."""
    monkeypatch.setattr(reading, "MAX_TEXT_CHARACTERS", 100)
    for read in (crystal_from_cif, crystal_from_poscar):
        with pytest.raises(UnreadableCrystalError, match="101 characters of text; at most 100"):
            read("x" * 101)


def test_line_ends() -> None:
    """Windows and old Macintosh line ends read the same."""
    for end in ("\r\n", "\r"):
        assert len(crystal_from_cif(SALT.replace("\n", end))) == 8
        assert len(crystal_from_poscar(POSCAR.replace("\n", end))) == 8
