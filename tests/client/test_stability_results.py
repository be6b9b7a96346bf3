from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from crystalmesh.stability.v1 import (
    elasticity_pb2,
    equation_of_state_pb2,
    hull_pb2,
    phase_diagram_pb2,
    phonons_pb2,
    reference_pb2,
)
from crystalmesh_client.elasticity import elasticity_from
from crystalmesh_client.equations_of_state import equation_of_state_from
from crystalmesh_client.hulls import hull_distance_from, phase_diagram_from
from crystalmesh_client.phases import Phase
from crystalmesh_client.phonons import phonons_from
from crystalmesh_client.references import description_from
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from tests.conftest import silicon

CRYSTAL = crystal_to_proto(silicon())
SUMMARY = reference_pb2.ReferenceSummary(
    name="salts", kind=reference_pb2.REFERENCE_KIND_MODEL, model="m", energy_scheme="MP2020", entry_count=1234
)


def test_a_hull_distance_names_its_hull_and_its_products() -> None:
    """Distance, products and reference are there; what the caller knew is None or empty."""
    message = hull_pb2.HullDistance(
        energy_above_hull_ev_per_atom=0.15,
        formula="NaCl3",
        decomposition=[
            hull_pb2.DecompositionProduct(entry_id="e", formula="NaCl", atom_fraction=0.5),
            hull_pb2.DecompositionProduct(entry_id="f", formula="Cl2", atom_fraction=0.5),
        ],
        competing_entry_count=2,
        reference=SUMMARY,
    )
    distance = hull_distance_from(message, Phase("NaCl3", id="<mine>"))
    assert (distance.id, distance.reference.kind) == ("<mine>", "model")
    assert distance.decomposition_text == "0.50 NaCl + 0.50 Cl2"
    assert (distance.energy_ev_per_atom, distance.relaxed_crystal, distance.relaxation_converged) == (
        None,
    ) * 3
    assert distance.to_pymatgen() is None
    shown = distance._repr_html_()
    assert "0.1500 eV/atom" in shown
    assert "salts, 2 entries compete" in shown
    assert "<mine>" not in shown


def test_a_phase_that_was_relaxed_brings_its_crystal() -> None:
    """The relaxed crystal has the phase's id, and a relaxation that did not converge is told."""
    message = hull_pb2.HullDistance(reference=SUMMARY, relaxed_crystal=CRYSTAL, energy_ev_per_atom=-5.4)
    distance = hull_distance_from(message, Phase(silicon(), id="mine"))
    assert distance.relaxed_crystal is not None
    assert distance.relaxed_crystal.id == "mine"
    assert (distance.energy_ev_per_atom, distance.relaxation_converged) == (-5.4, False)
    assert "did not converge" in distance._repr_html_()
    structure = distance.to_pymatgen()
    assert structure is not None
    assert structure.composition.reduced_formula == "Si"


def test_a_phase_diagram_knows_its_corners() -> None:
    """Entries on the hull are told from those above it, and a notebook shows the nearest ones."""
    message = phase_diagram_pb2.PhaseDiagram(
        chemical_system="Cl-Na",
        reference=SUMMARY,
        entries=[
            phase_diagram_pb2.PhaseDiagramEntry(
                entry_id=f"e{n}", formula="NaCl", energy_above_hull_ev_per_atom=n / 10
            )
            for n in range(30)
        ],
        facets=[phase_diagram_pb2.HullFacet(entry_indices=[0, 1])],
    )
    diagram = phase_diagram_from(message)
    assert diagram.elements == ("Cl", "Na")
    assert [entry.entry_id for entry in diagram.stable_entries] == ["e0"]
    assert diagram.facets == ((0, 1),)
    assert "and 10 more" in diagram._repr_html_()


def test_an_equation_of_state_can_be_evaluated() -> None:
    """The curve has its minimum and its curvature where the message says."""
    message = equation_of_state_pb2.EquationOfState(
        equilibrium_volume_cubic_angstrom=40.0,
        equilibrium_energy_ev=-10.8,
        bulk_modulus_gpa=90.0,
        bulk_modulus_derivative=4.3,
        unreliable_reason="the minimum is outside",
        points=[equation_of_state_pb2.VolumePoint(volume_cubic_angstrom=36, energy_ev=-10.5)],
        crystal=CRYSTAL,
    )
    fit = equation_of_state_from(message, silicon("mine"))
    assert fit.energy_at(np.array([40.0])) == pytest.approx(-10.8)
    # B = V d²E/dV², by central differences
    below, at, above = fit.energy_at(np.array([39.99, 40.0, 40.01]))
    assert 40.0 * (below - 2 * at + above) / 1e-4 * 160.21766208 == pytest.approx(90.0, rel=1e-3)
    assert (fit.volumes_cubic_angstrom.tolist(), fit.energies_ev.tolist()) == ([36.0], [-10.5])
    assert "no: the minimum is outside" in fit._repr_html_()
    assert "5.400 eV" not in fit._repr_html_()


def test_an_elastic_tensor_is_a_matrix_with_moduli() -> None:
    """The stiffness is (6, 6) row by row, and each modulus has its bounds."""
    message = elasticity_pb2.Elasticity(
        stiffness_gpa=list(range(36)),
        bulk_modulus_voigt_gpa=3,
        bulk_modulus_reuss_gpa=1,
        bulk_modulus_hill_gpa=2,
        mechanically_stable=True,
        crystal=CRYSTAL,
    )
    elasticity = elasticity_from(message, silicon("mine"))
    assert elasticity.stiffness_gpa[1].tolist() == [6, 7, 8, 9, 10, 11]
    bulk = elasticity.bulk_modulus
    assert (bulk.voigt_gpa, bulk.reuss_gpa, bulk.hill_gpa) == (3, 1, 2)
    assert "2.0 GPa" in elasticity._repr_html_()


def test_unstable_modes_say_how_atoms_move() -> None:
    """A mode has a displacement for each atom."""
    message = phonons_pb2.Phonons(
        frequencies_thz=[-1.5, 0, 0, 0, 4, 5],
        unstable_modes=[phonons_pb2.PhononMode(frequency_thz=-1.5, displacements=[0, 0, 1, 0, 0, -1])],
        crystal=CRYSTAL,
        relaxation_converged=True,
    )
    phonons = phonons_from(message, silicon("mine"))
    (mode,) = phonons.unstable_modes
    assert mode.displacements.tolist() == [[0, 0, 1], [0, 0, -1]]
    assert "-1.50 to 5.00 THz" in phonons._repr_html_()


def test_a_reference_says_where_it_comes_from() -> None:
    """Attribution, elements and date are there; a date that is not stated is None."""
    message = reference_pb2.Reference(summary=SUMMARY, attribution="<us>", atomic_numbers=[11, 17])
    assert description_from(message).updated is None
    message.update_time.FromDatetime(datetime(2026, 11, 21, tzinfo=UTC))
    reference = description_from(message)
    assert reference.updated == datetime(2026, 11, 21, tzinfo=UTC)
    assert reference.atomic_numbers == (11, 17)
    for shown in (reference._repr_html_(), reference.summary._repr_html_()):
        assert "1,234" in shown
        assert "<us>" not in shown
