from __future__ import annotations

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import evaluation_pb2
from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engine import Evaluation, Network, Quantity
from crystalmesh_relaxation.engines.specs import CHGNET, parse_spec
from tests.conftest import ServiceProcess, block, copies, iron, silicon, sodium_chloride
from tests.relaxation.wire import ask, request_of


def test_the_wire_brings_what_the_engine_says(relaxation: ServiceProcess) -> None:
    """Numbers of the server equal those of the engine in this process: 1e-5 eV/atom, 1e-4 eV/Å."""
    crystals = [sodium_chloride(), silicon(shift=0.02), iron(), block(repeat=2)]
    potential = engines.load([parse_spec(CHGNET)], "cpu")[CHGNET][Network.REFERENCE]
    answer = ask(relaxation, request_of(*crystals))
    assert sorted(outcome.index for outcome in answer.outcomes) == [0, 1, 2, 3]
    for outcome in answer.outcomes:
        crystal, got = crystals[outcome.index], outcome.evaluation
        (direct,) = potential.evaluate([crystal], frozenset(Quantity))
        assert isinstance(direct, Evaluation)
        assert (outcome.crystal_id, got.model) == (crystal.id, potential.info.name)
        assert got.energy_ev_per_atom == pytest.approx(direct.energy_ev_per_atom, abs=1e-5)
        assert got.energy_ev == pytest.approx(len(crystal) * got.energy_ev_per_atom)
        forces = np.array(got.forces_ev_per_angstrom).reshape(-1, 3)
        np.testing.assert_allclose(forces, direct.forces_ev_per_angstrom, atol=1e-4)
        np.testing.assert_allclose(np.array(got.stress_gpa).reshape(3, 3), direct.stress_gpa, atol=1e-3)
        np.testing.assert_allclose(got.magnetic_moments_mu_b, direct.magnetic_moments_mu_b, atol=1e-4)


def test_iron_is_magnetic(relaxation: ServiceProcess) -> None:
    """The moments of ferromagnetic iron come out near 2.2 Bohr magnetons, and those of silicon near none."""
    answer = ask(relaxation, request_of(iron(), silicon()))
    by_id = {outcome.crystal_id: outcome.evaluation.magnetic_moments_mu_b for outcome in answer.outcomes}
    assert by_id["Fe"] == pytest.approx([2.2, 2.2], abs=0.4)
    assert by_id["Si"] == pytest.approx([0, 0], abs=0.1)


def test_the_form_of_the_input_does_not_matter(relaxation: ServiceProcess) -> None:
    """The same crystal as arrays, CIF and POSCAR has the same energy, under the id that each was given."""
    crystal = silicon(shift=0.02)
    answer = ask(
        relaxation,
        request_of(
            crystal,
            CrystalInput(id="as CIF", cif_text=crystal_to_cif(crystal)),
            CrystalInput(id="as POSCAR", poscar_text=crystal_to_poscar(crystal)),
        ),
    )
    energies = {outcome.crystal_id: outcome.evaluation.energy_ev_per_atom for outcome in answer.outcomes}
    assert set(energies) == {"Si", "as CIF", "as POSCAR"}
    assert max(energies.values()) - min(energies.values()) < 1e-5


def test_only_what_is_asked_for_is_sent(relaxation: ServiceProcess) -> None:
    """Asked for forces alone, the answer has energy and forces and nothing else."""
    quantities = [evaluation_pb2.QUANTITY_FORCES]
    (outcome,) = ask(relaxation, request_of(sodium_chloride(), quantities=quantities)).outcomes
    assert len(outcome.evaluation.forces_ev_per_angstrom) == 6
    assert outcome.evaluation.energy_ev < 0
    assert not outcome.evaluation.stress_gpa
    assert not outcome.evaluation.magnetic_moments_mu_b


def test_a_batch_of_many_comes_out_whole(relaxation: ServiceProcess) -> None:
    """Several device batches of one call: each crystal once, all with the same energy."""
    answer = ask(relaxation, request_of(*copies(sodium_chloride(), 100)))
    assert answer.code is grpc.StatusCode.OK
    assert sorted(outcome.index for outcome in answer.outcomes) == list(range(100))
    energies = [outcome.evaluation.energy_ev_per_atom for outcome in answer.outcomes]
    assert max(energies) - min(energies) < 1e-5
