from __future__ import annotations

import numpy as np
import pytest

from crystalmesh.relaxation.v1 import evaluation_pb2
from crystalmesh_client.results import Evaluation, Failed, evaluation_from
from crystalmesh_common.runtime.errors import IsolatedAtomError
from tests.conftest import iron, sodium_chloride

MESSAGE = evaluation_pb2.Evaluation(
    energy_ev=-16.0,
    energy_ev_per_atom=-8.0,
    forces_ev_per_angstrom=[0.0, 0.3, 0.4, 0.0, 0.0, -0.1],
    stress_gpa=[16.0, 1.0, 0.0, 1.0, 16.0, 0.0, 0.0, 0.0, 16.0],
    magnetic_moments_mu_b=[2.1, 2.3],
    model="a-model",
)


@pytest.fixture
def evaluation() -> Evaluation:
    return evaluation_from(MESSAGE, iron("<i>Fe</i>"))


def test_a_message_becomes_arrays_of_the_right_shape(evaluation: Evaluation) -> None:
    """Forces are (n, 3), stress is (3, 3), moments are (n,)."""
    assert evaluation.forces_ev_per_angstrom is not None
    assert evaluation.forces_ev_per_angstrom.tolist() == [[0.0, 0.3, 0.4], [0.0, 0.0, -0.1]]
    assert evaluation.stress_gpa is not None
    assert evaluation.stress_gpa[0].tolist() == [16.0, 1.0, 0.0]
    assert evaluation.magnetic_moments_mu_b is not None
    assert evaluation.magnetic_moments_mu_b.shape == (2,)
    assert (evaluation.formula, evaluation.model) == ("Fe", "a-model")
    assert evaluation.max_force_ev_per_angstrom == pytest.approx(0.5)


def test_what_was_not_asked_for_is_none() -> None:
    """Empty fields are None and not empty arrays, and convert all the same."""
    bare = evaluation_from(evaluation_pb2.Evaluation(energy_ev=-1, model="m"), sodium_chloride())
    assert bare.forces_ev_per_angstrom is None
    assert bare.stress_gpa is None
    assert bare.magnetic_moments_mu_b is None
    assert bare.max_force_ev_per_angstrom is None
    assert bare.to_ase().get_potential_energy() == -1
    assert "forces" not in bare.to_pymatgen().site_properties
    assert "NaCl" in bare._repr_html_()


def test_ase_atoms_hold_the_results_in_ases_units(evaluation: Evaluation) -> None:
    """Energy in eV, forces in eV/Å and stress in eV/Å³ come from the attached calculator."""
    atoms = evaluation.to_ase()
    assert atoms.get_chemical_formula() == "Fe2"
    assert atoms.get_potential_energy() == -16.0
    np.testing.assert_allclose(atoms.get_forces(), evaluation.forces_ev_per_angstrom)
    np.testing.assert_allclose(atoms.get_stress(voigt=False)[0], np.array([16.0, 1.0, 0.0]) / 160.21766208)
    np.testing.assert_allclose(atoms.get_magnetic_moments(), [2.1, 2.3])


def test_a_pymatgen_structure_holds_the_results_by_site(evaluation: Evaluation) -> None:
    """Forces and moments are site properties."""
    structure = evaluation.to_pymatgen()
    assert structure.composition.reduced_formula == "Fe"
    assert structure.site_properties["forces"] == [[0.0, 0.3, 0.4], [0.0, 0.0, -0.1]]
    assert structure.site_properties["magmom"] == [2.1, 2.3]


def test_a_notebook_shows_a_safe_table(evaluation: Evaluation) -> None:
    """The HTML has the numbers, and ids and messages in it are escaped."""
    shown = evaluation._repr_html_()
    for part in ("-8.0000 eV/atom", "0.5000 eV/Å", "a-model", "&lt;i&gt;Fe&lt;/i&gt;"):
        assert part in shown
    assert "<i>" not in shown
    failed = Failed("<b>x</b>", IsolatedAtomError("<script>"))._repr_html_()
    assert "ISOLATED_ATOM" in failed
    assert "<script>" not in failed
    assert "<b>x</b>" not in failed


def test_reprs_are_short(evaluation: Evaluation) -> None:
    """A result in a list prints its energies and not its arrays."""
    assert len(repr(evaluation)) < 200
