from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_client import (
    AsyncMesh,
    ElasticityOptions,
    EquationOfStateOptions,
    Failed,
    HullDistance,
    Mesh,
    Phase,
    PhononOptions,
)
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from tests.conftest import lone_atom, silicon, sodium_chloride

PHASES = [
    Phase("Na2Cl2", id="given", formation_energy_ev_per_atom=-2.0),
    Phase("NaCl3", formation_energy_ev_per_atom=-0.9),
    Phase(sodium_chloride("total"), total_energy_ev=2 * (-1.575 - 2.0)),
    Phase("NaCl", id="alone", formation_energy_ev_per_atom=-2.0, excluded_entry_ids=("salt",)),
    Phase("KCl", id="stranger", formation_energy_ev_per_atom=-2.0),
    sodium_chloride("computed"),
]
"""Against the reference `salts` of the shared server: NaCl at -2.1, NaCl3 at -0.9 eV/atom."""


def check_phases(outcomes: list[HullDistance | Failed]) -> None:
    by_id = {outcome.id: outcome for outcome in outcomes}
    assert set(by_id) == {"given", "1", "total", "alone", "stranger", "computed"}
    stranger = by_id.pop("stranger")
    assert isinstance(stranger, Failed)
    assert isinstance(stranger.error, errors.ReferenceIncompleteError)
    distances = {
        key: found.energy_above_hull_ev_per_atom
        for key, found in by_id.items()
        if isinstance(found, HullDistance)
    }
    assert distances.pop("computed") == pytest.approx(0.0, abs=0.05)
    # Without the salt, Na and NaCl3 are what is left: -2.0 is 2.0 - 0.6 below their line at NaCl.
    assert distances == pytest.approx({"given": 0.1, "1": 0.15, "total": 0.1, "alone": -1.4}, abs=1e-6)


def test_phases_of_all_kinds_are_placed(mesh: Mesh) -> None:
    """Formulas and crystals, with energies or without, with entries left out: one outcome each."""
    check_phases(list(mesh.stability.score_many(PHASES, reference="salts", energy_scheme="MP2020")))


async def test_phases_are_placed_from_asyncio(async_mesh: AsyncMesh) -> None:
    """The async client says the same."""
    outcomes = async_mesh.stability.score_many(PHASES, reference="salts", energy_scheme="MP2020")
    check_phases([outcome async for outcome in outcomes])


async def test_a_crystal_is_relaxed_first_when_asked(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """A stretched crystal comes down to the hull, and brings the crystal that was evaluated."""
    stretched = sodium_chloride(a=5.9)
    taken_as_it_is = mesh.stability.score(stretched, reference="salts")
    relaxed = await async_mesh.stability.score(stretched, reference="salts", relax_first=True)
    assert relaxed.energy_above_hull_ev_per_atom < taken_as_it_is.energy_above_hull_ev_per_atom
    assert taken_as_it_is.relaxed_crystal is None
    assert relaxed.relaxation_converged
    assert relaxed.relaxed_crystal is not None
    assert relaxed.relaxed_crystal.volume < stretched.volume
    assert (relaxed.model, relaxed.self_consistent) == ("chgnet-0.3.0", True)
    assert relaxed.decomposition_text == "1.00 NaCl"


async def test_the_hull_of_a_system(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Entries, corners and facets in any order of elements; far entries can be left out."""
    diagram = mesh.stability.phase_diagram("Na-Cl", reference="salts")
    assert await async_mesh.stability.phase_diagram("Cl-Na", reference="salts") == diagram
    assert diagram.chemical_system == "Cl-Na"
    assert {entry.formula for entry in diagram.stable_entries} == {"Na", "Cl2", "NaCl"}
    assert len(diagram.facets) == 2
    assert {entry.formula for entry in diagram.entries} == {"Na", "Cl2", "NaCl", "NaCl3"}
    near = mesh.stability.phase_diagram("Na-Cl", reference="salts", max_energy_above_hull_ev_per_atom=0.1)
    assert {entry.formula for entry in near.entries} == {"Na", "Cl2", "NaCl"}


async def test_references_are_listed_and_described(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """One of the references is the default, and each tells its kind, scheme and elements."""
    listed = mesh.stability.references()
    assert await async_mesh.stability.references() == listed
    assert [reference.is_default for reference in listed] == [True] + [False] * (len(listed) - 1)
    by_name = {reference.name: reference for reference in listed}
    assert (by_name["salts"].kind, by_name["salts"].energy_scheme) == ("model", "MP2020")
    assert (by_name["oxides"].kind, by_name["oxides"].energy_scheme) == ("dft", "PBE")
    salts = mesh.stability.reference("salts")
    assert await async_mesh.stability.reference("salts") == salts
    assert salts.attribution == "the tests"
    assert {11, 17} <= set(salts.atomic_numbers)
    assert {energy.model for energy in salts.elemental_energies} == {"chgnet-0.3.0"}
    assert mesh.stability.reference().summary.is_default


def test_references_come_in_pages(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client turns pages until the last one."""
    listed = mesh.stability.references()
    caller = mesh.stability._caller
    ask = caller.look_up

    def one_at_a_time(rpc: str, request: object) -> object:
        request.page_size = 1  # type: ignore[attr-defined]
        return ask(rpc, request)  # type: ignore[arg-type]

    monkeypatch.setattr(caller, "look_up", one_at_a_time)
    assert mesh.stability.references() == listed


def test_what_does_not_fit_the_reference_is_refused(mesh: Mesh) -> None:
    """Energies of another scheme, and names and elements that it lacks, have their own errors."""
    phase = Phase("NaCl", formation_energy_ev_per_atom=-2.0)
    with pytest.raises(errors.MixedEnergySchemesError):
        mesh.stability.score(phase, reference="salts", energy_scheme="PBE")
    with pytest.raises(errors.InvalidFieldError):
        mesh.stability.score(phase, reference="salts")
    with pytest.raises(errors.ResourceNotFoundError):
        mesh.stability.reference("sugar")
    with pytest.raises(errors.ReferenceIncompleteError):
        mesh.stability.phase_diagram("K-Cl", reference="salts")


async def test_bulk_modulus_of_silicon(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """The equation of state of silicon is reliable, and near what experiment says (98 GPa)."""
    options = EquationOfStateOptions(points=7)
    fit = mesh.stability.fit_equation_of_state(silicon(), options)
    assert (fit.reliable, fit.unreliable_reason) == (True, "")
    assert 60 < fit.bulk_modulus_gpa < 120
    assert len(fit.volumes_cubic_angstrom) == len(fit.energies_ev) == 7
    np.testing.assert_allclose(fit.energy_at(fit.volumes_cubic_angstrom), fit.energies_ev, atol=5e-3)
    again = await async_mesh.stability.fit_equation_of_state(silicon(), options)
    assert again.bulk_modulus_gpa == pytest.approx(fit.bulk_modulus_gpa, rel=1e-2)


async def test_stiffness_of_rock_salt(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """The tensor of a cubic crystal is symmetric and stable, and its averages lie between their bounds."""
    elasticity = mesh.stability.elastic_tensor(sodium_chloride())
    assert elasticity.mechanically_stable
    assert elasticity.stiffness_gpa.shape == (6, 6)
    np.testing.assert_allclose(elasticity.stiffness_gpa, elasticity.stiffness_gpa.T, atol=1e-6)
    shear = elasticity.shear_modulus
    assert 0 < shear.reuss_gpa <= shear.hill_gpa <= shear.voigt_gpa
    clamped = await async_mesh.stability.elastic_tensor(
        sodium_chloride(), ElasticityOptions(keep_fractional_coordinates=True)
    )
    # In rock salt symmetry holds the atoms under normal strain anyway.
    assert clamped.bulk_modulus.hill_gpa == pytest.approx(elasticity.bulk_modulus.hill_gpa, rel=0.05)


async def test_vibrations_of_silicon(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Silicon is stable: three acoustic modes at zero, and as many optical ones above."""
    phonons = mesh.stability.phonons(silicon())
    assert (phonons.dynamically_stable, phonons.unstable_modes, phonons.relaxation_converged) == (
        True,
        (),
        True,
    )
    np.testing.assert_allclose(phonons.frequencies_thz[:3], 0, atol=0.3)
    assert phonons.frequencies_thz[3:].min() > 5
    larger = await async_mesh.stability.phonons(silicon(), PhononOptions(supercell=(2, 1, 1)))
    assert (len(larger.crystal), len(larger.frequencies_thz)) == (4, 12)


MIXED: list[Crystal] = [silicon(), lone_atom(), replace(silicon("twins"), frac_coords=np.zeros((2, 3)))]


@pytest.mark.parametrize("method", ["fit_equation_of_state_many", "elastic_tensor_many", "phonons_many"])
async def test_each_crystal_of_a_batch_has_an_outcome(mesh: Mesh, async_mesh: AsyncMesh, method: str) -> None:
    """Bad crystals are `Failed` with their error, and do not stop the others."""
    outcomes = list(getattr(mesh.stability, method)(MIXED))
    outcomes += [outcome async for outcome in getattr(async_mesh.stability, method)(MIXED)]
    failed = {(outcome.id, type(outcome.error)) for outcome in outcomes if isinstance(outcome, Failed)}
    assert failed == {("lone", errors.IsolatedAtomError), ("twins", errors.OverlappingAtomsError)}
    assert [outcome.id for outcome in outcomes if not isinstance(outcome, Failed)] == ["Si", "Si"]
