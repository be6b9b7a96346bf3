from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure

from crystalmesh_client import AsyncMesh, Credentials, Evaluation, Failed, Mesh
from crystalmesh_client.inputs import CrystalLike
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime import errors
from tests.conftest import (
    MESSAGE_BYTES,
    TOKEN,
    ServiceProcess,
    block,
    copies,
    iron,
    lone_atom,
    silicon,
    sodium_chloride,
    until,
)


def every_form(folder: Path) -> dict[str, CrystalLike]:
    """Rock salt in the forms that callers have it in."""
    salt = sodium_chloride()
    file = folder / "salt.cif"
    file.write_text(crystal_to_cif(salt))
    return {
        "Crystal": salt,
        "pymatgen": Structure(Lattice(salt.cell), ["Na", "Cl"], salt.frac_coords),
        "ASE": Atoms("NaCl", cell=salt.cell, scaled_positions=salt.frac_coords, pbc=True),
        "Path": file,
    }


@pytest.mark.parametrize("form", ["Crystal", "pymatgen", "ASE", "Path"])
def test_one_crystal_in_any_form(mesh: Mesh, tmp_path: Path, form: str) -> None:
    """`evaluate` takes what the caller has and answers energy, forces, stress and moments."""
    evaluation = mesh.relaxation.evaluate(every_form(tmp_path)[form])
    assert evaluation.energy_ev_per_atom == pytest.approx(-3.6680, abs=1e-3)
    assert evaluation.formula == "NaCl"
    assert evaluation.forces_ev_per_angstrom is not None
    assert evaluation.forces_ev_per_angstrom.shape == (2, 3)
    assert evaluation.stress_gpa is not None
    assert evaluation.magnetic_moments_mu_b is not None


async def test_one_crystal_from_asyncio(async_mesh: AsyncMesh, mesh: Mesh) -> None:
    """The async client says the same as the sync one."""
    ours = await async_mesh.relaxation.evaluate(silicon(shift=0.02))
    theirs = mesh.relaxation.evaluate(silicon(shift=0.02))
    assert ours.energy_ev_per_atom == pytest.approx(theirs.energy_ev_per_atom, abs=1e-5)
    np.testing.assert_allclose(ours.forces_ev_per_angstrom, theirs.forces_ev_per_angstrom, atol=1e-4)


def test_results_convert_to_ase_and_pymatgen(mesh: Mesh) -> None:
    """A result of the real model goes into both worlds and into a notebook."""
    evaluation = mesh.relaxation.evaluate(iron())
    atoms = evaluation.to_ase()
    assert atoms.get_potential_energy() == pytest.approx(evaluation.energy_ev)
    assert atoms.get_stress().shape == (6,)
    assert evaluation.to_pymatgen().site_properties["magmom"] == pytest.approx([2.2, 2.2], abs=0.4)
    assert evaluation.model in evaluation._repr_html_()


MIXED: list[Crystal] = [
    sodium_chloride(),
    lone_atom(),
    silicon(),
    replace(silicon("twins"), frac_coords=np.zeros((2, 3))),
    iron(),
]


def check_mixed(outcomes: list[Evaluation | Failed]) -> None:
    by_id = {outcome.id: outcome for outcome in outcomes}
    assert set(by_id) == {"NaCl", "lone", "Si", "twins", "Fe"}
    failed = {key: type(value.error) for key, value in by_id.items() if isinstance(value, Failed)}
    assert failed == {"lone": errors.IsolatedAtomError, "twins": errors.OverlappingAtomsError}


def test_a_batch_has_one_outcome_each(mesh: Mesh) -> None:
    """Bad crystals are `Failed` with their error, the others have results."""
    check_mixed(list(mesh.relaxation.evaluate_many(MIXED)))


async def test_a_batch_from_asyncio(async_mesh: AsyncMesh) -> None:
    """The same from asyncio."""
    check_mixed([outcome async for outcome in async_mesh.relaxation.evaluate_many(MIXED)])


def test_more_crystals_than_fit_into_one_call(mesh: Mesh) -> None:
    """A list beyond the size of a call is cut into several, and comes back whole."""
    crystals = copies(sodium_chloride(), 300)
    outcomes = list(mesh.relaxation.evaluate_many(iter(crystals), quantities=["energy"]))
    assert {outcome.id for outcome in outcomes} == {crystal.id for crystal in crystals}
    assert all(isinstance(outcome, Evaluation) for outcome in outcomes)


async def test_no_crystals_make_no_call(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """An empty list has no outcomes."""
    assert list(mesh.relaxation.evaluate_many([])) == []
    assert [outcome async for outcome in async_mesh.relaxation.evaluate_many([])] == []


def test_only_what_is_asked_for_is_computed(mesh: Mesh) -> None:
    """With `quantities=["energy"]` there is nothing else; a misspelt quantity is refused at once."""
    evaluation = mesh.relaxation.evaluate(silicon(), quantities=["energy"])
    assert (evaluation.forces_ev_per_angstrom, evaluation.stress_gpa) == (None, None)
    with pytest.raises(ValueError, match="'force'"):
        mesh.relaxation.evaluate(silicon(), quantities=["force"])  # type: ignore[list-item]


async def test_the_models_are_listed(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Both clients see the served potential, ready."""
    (model,) = mesh.relaxation.models()
    assert await async_mesh.relaxation.models() == [model]
    assert (model.ready, model.is_default, model.device) == (True, True, "cpu")
    assert 84 not in model.atomic_numbers


FAILURES: list[tuple[Crystal, dict[str, object], type[errors.CrystalMeshError]]] = [
    (lone_atom(), {}, errors.IsolatedAtomError),
    (replace(silicon(), cell=np.full((3, 3), np.nan)), {}, errors.InvalidCrystalError),
    (replace(silicon(), numbers=np.array([84, 14])), {}, errors.UnsupportedElementError),
    (silicon(), {"model": "oracle"}, errors.ModelNotFoundError),
    (silicon(), {"timeout": 1e-6}, errors.DeadlineExceededError),
]


@pytest.mark.parametrize(("crystal", "options", "error"), FAILURES)
async def test_errors_are_those_of_the_server(
    mesh: Mesh,
    async_mesh: AsyncMesh,
    crystal: Crystal,
    options: dict[str, object],
    error: type[errors.CrystalMeshError],
) -> None:
    """What the server raised is raised here, of the same class, by both clients."""
    with pytest.raises(error) as failed:
        mesh.relaxation.evaluate(crystal, **options)  # type: ignore[arg-type]
    assert type(failed.value) is error
    assert failed.value.message
    with pytest.raises(error):
        await async_mesh.relaxation.evaluate(crystal, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("token", "error"), [(None, errors.TokenMissingError), ("not-the-token", errors.TokenInvalidError)]
)
def test_without_the_right_token_the_error_says_so(
    relaxation: ServiceProcess, token: str | None, error: type[errors.CrystalMeshError]
) -> None:
    """Missing and wrong tokens are told apart."""
    with Mesh(relaxation.address, credentials=Credentials(token=token)) as mesh:
        with pytest.raises(error):
            mesh.relaxation.evaluate(silicon())
        with pytest.raises(error):
            mesh.relaxation.models()


def test_a_request_beyond_the_servers_limit_is_too_large(mesh: Mesh) -> None:
    """Too many bytes are MESSAGE_TOO_LARGE, a little beyond the limit and far beyond it."""
    for size in (1.1, 2.0):
        count = int(size * MESSAGE_BYTES / (250 * 25))
        with pytest.raises(errors.MessageTooLargeError):
            list(mesh.relaxation.evaluate_many(copies(block(repeat=5), count)))


def test_closing_the_iterator_cancels_the_call(mesh: Mesh, relaxation: ServiceProcess) -> None:
    """Whoever has seen enough closes the iterator, and the server stops working for it."""
    cancelled = relaxation.metric("crystalmesh_refusals_total", reason="CALL_CANCELLED")
    outcomes = mesh.relaxation.evaluate_many(copies(block(), 150))
    assert isinstance(next(outcomes), Evaluation)
    outcomes.close()  # type: ignore[attr-defined]
    until(lambda: relaxation.metric("crystalmesh_calls_in_flight") == 0, "nothing is in flight")
    assert relaxation.metric("crystalmesh_refusals_total", reason="CALL_CANCELLED") == cancelled + 1
    assert relaxation.metric("crystalmesh_queued_items") == 0


async def test_closing_the_async_iterator_cancels_the_call(
    async_mesh: AsyncMesh, relaxation: ServiceProcess
) -> None:
    """The same from asyncio, and the mesh stays usable."""
    cancelled = relaxation.metric("crystalmesh_refusals_total", reason="CALL_CANCELLED")
    async with aclosing(async_mesh.relaxation.evaluate_many(copies(block(), 150))) as outcomes:
        assert isinstance(await anext(outcomes), Evaluation)
    until(lambda: relaxation.metric("crystalmesh_calls_in_flight") == 0, "nothing is in flight")
    assert relaxation.metric("crystalmesh_refusals_total", reason="CALL_CANCELLED") == cancelled + 1
    assert (await async_mesh.relaxation.evaluate(silicon())).formula == "Si"


def test_closing_the_mesh_ends_its_calls(relaxation: ServiceProcess) -> None:
    """An iterator that outlives its mesh ends with CALL_CANCELLED instead of hanging."""
    with Mesh(relaxation.address, credentials=Credentials(token=TOKEN)) as mesh:
        outcomes = mesh.relaxation.evaluate_many(copies(block(), 150))
        next(outcomes)
    with pytest.raises(errors.CallCancelledError):
        list(outcomes)
