"""What every registered potential must do, whatever runs beneath it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    IsolatedAtomError,
    PreconditionError,
    UnsupportedElementError,
)
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engine import Evaluation, Network, Potential, Quantity
from crystalmesh_relaxation.engines.specs import CHGNET, parse_spec
from tests.conftest import block, iron, lone_atom, silicon, sodium_chloride

ENERGY_EV_PER_ATOM = 1e-5
FORCE_EV_PER_ANGSTROM = 1e-4
STRESS_GPA = 1e-3
MOMENT_MU_B = 1e-4
GPA_PER_EV_PER_CUBIC_ANGSTROM = 160.21766208
EVERYTHING = frozenset(Quantity)


@dataclass(frozen=True)
class Direct:
    """What a library says of a crystal when it is called without us."""

    energy_ev_per_atom: float
    forces_ev_per_angstrom: np.ndarray
    stress_gpa: np.ndarray
    magnetic_moments_mu_b: np.ndarray


@cache
def _chgnet() -> Any:
    from chgnet.model.model import CHGNet

    return CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)


def chgnet_directly(crystal: Crystal) -> Direct:
    """CHGNet's own prediction of a structure that pymatgen makes of the same numbers."""
    from pymatgen.core import Lattice, Structure

    structure = Structure(Lattice(crystal.cell), crystal.numbers.tolist(), crystal.frac_coords)
    prediction = _chgnet().predict_structure(structure)
    return Direct(float(prediction["e"]), prediction["f"], prediction["s"], prediction["m"])


@dataclass(frozen=True)
class Registered:
    """A potential as the service loads it, and its library called directly."""

    spec: str
    network: Network
    directly: Callable[[Crystal], Direct]
    unknown_atomic_number: int


REGISTERED: Mapping[str, Registered] = {
    f"chgnet-{network.value}": Registered(CHGNET, network, chgnet_directly, unknown_atomic_number=84)
    for network in Network
}


@pytest.fixture(params=sorted(REGISTERED), scope="module")
def registered(request: pytest.FixtureRequest) -> Registered:
    return REGISTERED[request.param]


@pytest.fixture(scope="module")
def potential(registered: Registered) -> Potential:
    """The potential, loaded once."""
    spec = parse_spec(registered.spec)
    return engines.load([spec], "cpu")[spec.name][registered.network]


def good_crystals() -> list[Crystal]:
    """Small crystals of several kinds: ionic, covalent with forces, magnetic, stretched, larger, one atom."""
    copper = Crystal(3.6 / 2 * (1 - np.eye(3)), np.array([29]), np.zeros((1, 3)), "Cu")
    return [
        sodium_chloride(),
        silicon(shift=0.02),
        iron(),
        sodium_chloride("stretched", a=6.1),
        block(repeat=2),
        copper,
    ]


def evaluated(potential: Potential, crystals: Sequence[Crystal]) -> list[Evaluation]:
    outcomes = potential.evaluate(crystals, EVERYTHING)
    assert all(isinstance(outcome, Evaluation) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]


def energy_of(potential: Potential, crystal: Crystal) -> float:
    (outcome,) = potential.evaluate([crystal], frozenset({Quantity.ENERGY}))
    assert isinstance(outcome, Evaluation)
    return outcome.energy_ev


def test_it_is_what_was_described(registered: Registered, potential: Potential) -> None:
    """The info of the loaded potential has the name that it was asked for by, and is complete."""
    info = potential.info
    assert info.name == parse_spec(registered.spec).name
    assert info.cutoff_angstrom > 0
    assert all((info.name, info.version, info.license, info.description, info.device))
    assert list(info.atomic_numbers) == sorted(set(info.atomic_numbers))
    assert Quantity.ENERGY in info.quantities
    assert registered.unknown_atomic_number not in info.atomic_numbers


def test_shapes_units_and_types(potential: Potential) -> None:
    """Each quantity has its documented shape in double precision, and energies of cell and atom agree."""
    for crystal, outcome in zip(good_crystals(), evaluated(potential, good_crystals()), strict=True):
        n_atoms = len(crystal)
        arrays = {
            "forces": (outcome.forces_ev_per_angstrom, (n_atoms, 3)),
            "stress": (outcome.stress_gpa, (3, 3)),
            "moments": (outcome.magnetic_moments_mu_b, (n_atoms,)),
        }
        for name, (array, shape) in arrays.items():
            assert array is not None, name
            assert (array.shape, array.dtype) == (shape, np.float64), name
        assert outcome.n_atoms == n_atoms
        assert outcome.energy_ev == pytest.approx(n_atoms * outcome.energy_ev_per_atom)


@pytest.mark.parametrize(
    "asked",
    [
        frozenset(some)
        for size in range(4)
        for some in itertools.combinations(EVERYTHING - {Quantity.ENERGY}, size)
    ],
    ids=lambda asked: "+".join(sorted(quantity.name.lower() for quantity in asked)) or "energy",
)
def test_what_was_not_asked_for_is_none(potential: Potential, asked: frozenset[Quantity]) -> None:
    """Any subset of quantities comes as asked, the energy always, and asking for less changes no number."""
    crystal = silicon(shift=0.02)
    (some,) = potential.evaluate([crystal], asked | {Quantity.ENERGY})
    (everything,) = evaluated(potential, [crystal])
    assert isinstance(some, Evaluation)
    assert some.energy_ev_per_atom == pytest.approx(everything.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)
    for quantity, name, tolerance in (
        (Quantity.FORCES, "forces_ev_per_angstrom", FORCE_EV_PER_ANGSTROM),
        (Quantity.STRESS, "stress_gpa", STRESS_GPA),
        (Quantity.MAGNETIC_MOMENTS, "magnetic_moments_mu_b", MOMENT_MU_B),
    ):
        array = getattr(some, name)
        assert (array is not None) == (quantity in asked)
        if array is not None:
            np.testing.assert_allclose(array, getattr(everything, name), atol=tolerance)


# CHGNet does what torch deprecates; we are quiet about it in the engine, not here.
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_it_says_what_its_library_says(registered: Registered, potential: Potential) -> None:
    """Energy to 1e-5 eV/atom, forces to 1e-4 eV/Å, stress and moments equal the library called directly."""
    for crystal, ours in zip(good_crystals(), evaluated(potential, good_crystals()), strict=True):
        theirs = registered.directly(crystal)
        assert ours.energy_ev_per_atom == pytest.approx(theirs.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)
        for array, direct, tolerance in (
            (ours.forces_ev_per_angstrom, theirs.forces_ev_per_angstrom, FORCE_EV_PER_ANGSTROM),
            (ours.stress_gpa, theirs.stress_gpa, STRESS_GPA),
            (ours.magnetic_moments_mu_b, theirs.magnetic_moments_mu_b, MOMENT_MU_B),
        ):
            np.testing.assert_allclose(array, direct, atol=tolerance, err_msg=crystal.id)


def test_batched_equals_single(potential: Potential) -> None:
    """A crystal's numbers do not depend on its company or its place in the batch."""
    batch = good_crystals()
    singles = [evaluated(potential, [crystal])[0] for crystal in batch]
    for order in (range(len(batch)), range(len(batch) - 1, -1, -1)):
        together = evaluated(potential, [batch[position] for position in order])
        for position, ours in zip(order, together, strict=True):
            single = singles[position]
            assert ours.energy_ev_per_atom == pytest.approx(single.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)
            for name, tolerance in (
                ("forces_ev_per_angstrom", FORCE_EV_PER_ANGSTROM),
                ("stress_gpa", STRESS_GPA),
                ("magnetic_moments_mu_b", MOMENT_MU_B),
            ):
                np.testing.assert_allclose(getattr(ours, name), getattr(single, name), atol=tolerance)


def test_a_failing_crystal_fails_alone(registered: Registered, potential: Potential) -> None:
    """An unknown element and an isolated atom are outcomes at their positions; the others are unchanged."""
    foreign = replace(sodium_chloride(), numbers=np.array([registered.unknown_atomic_number, 17]))
    good = [sodium_chloride(), silicon(), iron()]
    batch = [good[0], foreign, good[1], lone_atom(), good[2]]
    outcomes = potential.evaluate(batch, EVERYTHING)
    assert [type(outcome) for outcome in outcomes] == [
        Evaluation, UnsupportedElementError, Evaluation, IsolatedAtomError, Evaluation,
    ]  # fmt: skip
    alone = evaluated(potential, good)
    for ours, single in zip([outcomes[0], outcomes[2], outcomes[4]], alone, strict=True):
        assert isinstance(ours, Evaluation)
        assert ours.energy_ev_per_atom == pytest.approx(single.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)


def test_a_batch_of_nothing_but_failures(registered: Registered, potential: Potential) -> None:
    """A batch in which nothing can be computed has a failure for each, and an empty batch nothing."""
    foreign = replace(sodium_chloride(), numbers=np.array([registered.unknown_atomic_number, 17]))
    outcomes = potential.evaluate([foreign, lone_atom()], EVERYTHING)
    assert all(isinstance(outcome, PreconditionError) for outcome in outcomes)
    assert len(outcomes) == 2
    assert not potential.evaluate([], EVERYTHING)


def test_an_unknown_element_is_named(registered: Registered, potential: Potential) -> None:
    """The failure names the atomic number that the potential does not know."""
    foreign = replace(sodium_chloride(), numbers=np.array([11, registered.unknown_atomic_number]))
    (outcome,) = potential.evaluate([foreign], EVERYTHING)
    assert isinstance(outcome, CrystalMeshError)
    assert str(registered.unknown_atomic_number) in outcome.details["elements"]


def test_any_image_of_a_site_is_the_same_site(potential: Potential) -> None:
    """Fractional coordinates outside of the cell change nothing."""
    crystal = silicon(shift=0.02)
    moved = replace(crystal, frac_coords=crystal.frac_coords + np.array([[3.0, -2.0, 1.0], [-5.0, 0.0, 7.0]]))
    here, there = evaluated(potential, [crystal, moved])
    assert there.energy_ev_per_atom == pytest.approx(here.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)
    np.testing.assert_allclose(
        there.forces_ev_per_angstrom, here.forces_ev_per_angstrom, atol=FORCE_EV_PER_ANGSTROM
    )


def test_forces_are_the_slope_of_the_energy(potential: Potential) -> None:
    """A force is minus the finite difference of the energy along it."""
    crystal = silicon(shift=0.03)
    (outcome,) = evaluated(potential, [crystal])
    assert outcome.forces_ev_per_angstrom is not None
    step = 0.01
    for axis in range(3):
        move = np.zeros((2, 3))
        move[1, axis] = step
        shift = move @ np.linalg.inv(crystal.cell)
        up, down = (
            energy_of(potential, replace(crystal, frac_coords=crystal.frac_coords + sign * shift))
            for sign in (1, -1)
        )
        slope = -(up - down) / (2 * step)
        assert outcome.forces_ev_per_angstrom[1, axis] == pytest.approx(slope, rel=0.02, abs=0.01)


@pytest.mark.parametrize("a", [5.4, 6.0], ids=["squeezed", "stretched"])
def test_stress_is_the_slope_of_the_energy_and_positive_when_stretched(
    potential: Potential, a: float
) -> None:
    """Stress is dE/dε per volume, components and sign: a stretched crystal has a positive trace."""
    crystal = sodium_chloride(a=a)
    crystal = replace(
        crystal, cell=crystal.cell @ (np.eye(3) + np.array([[0, 0.02, 0], [0.02, 0, 0], [0, 0, 0.03]]))
    )
    (outcome,) = evaluated(potential, [crystal])
    assert outcome.stress_gpa is not None
    assert np.sign(outcome.stress_gpa.trace()) == (1 if a > 5.69 else -1)
    step = 2e-3
    for row, column in ((0, 0), (2, 2), (0, 1)):
        strain = np.zeros((3, 3))
        strain[row, column] += step / 2
        strain[column, row] += step / 2
        up, down = (
            energy_of(potential, replace(crystal, cell=crystal.cell @ (np.eye(3) + sign * strain)))
            for sign in (1, -1)
        )
        slope = (up - down) / (2 * step) / crystal.volume * GPA_PER_EV_PER_CUBIC_ANGSTROM
        assert outcome.stress_gpa[row, column] == pytest.approx(slope, rel=0.03, abs=0.05)
