"""What every registered potential must do, whatever runs beneath it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
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
from crystalmesh_relaxation.engines.mace_file import mace_imported
from crystalmesh_relaxation.engines.specs import CHGNET, parse_spec
from tests.conftest import block, iron, lone_atom, silicon, sodium_chloride
from tests.relaxation.engines.tiny_mace import needs_mace, saved, tiny_mace

ENERGY_EV_PER_ATOM = 1e-5
FORCE_EV_PER_ANGSTROM = 1e-4
STRESS_GPA = 1e-3
MOMENT_MU_B = 1e-4
GPA_PER_EV_PER_CUBIC_ANGSTROM = 160.21766208
EVERYTHING = frozenset(Quantity)
ARRAYS: Mapping[Quantity, tuple[str, float]] = {
    Quantity.FORCES: ("forces_ev_per_angstrom", FORCE_EV_PER_ANGSTROM),
    Quantity.STRESS: ("stress_gpa", STRESS_GPA),
    Quantity.MAGNETIC_MOMENTS: ("magnetic_moments_mu_b", MOMENT_MU_B),
}
"""Where an evaluation has a quantity, and how well it must agree with itself and its library."""


@dataclass(frozen=True)
class Samples:
    """Crystals of elements that a potential knows."""

    pushed: Callable[[float], Crystal]  # the second atom off its site by a fraction of the cell
    scaled: Callable[[float], Crystal]  # a cubic one, its lattice constant by what it is at rest
    others: Sequence[Crystal]
    lone: Crystal

    def all(self) -> list[Crystal]:
        """Of several kinds: with forces, stretched, larger, of one atom."""
        return [self.scaled(1.0), self.pushed(0.02), self.scaled(1.05), *self.others]


def face_centred(atomic_number: int, a: float) -> Crystal:
    """An elemental metal, one atom."""
    return Crystal(
        a / 2 * (1 - np.eye(3)), np.array([atomic_number]), np.zeros((1, 3)), f"fcc {atomic_number}"
    )


def cubic_copper(shift: float = 0.0, *, numbers: Sequence[int] = (29, 29, 29, 29)) -> Crystal:
    """The cube of four atoms, the second of them shifted."""
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites[1, 0] += shift
    return Crystal(3.65 * np.eye(3), np.array(numbers), sites, "Cu4")


GENERAL = Samples(
    pushed=lambda shift: silicon(shift=shift),
    scaled=lambda scale: sodium_chloride(a=5.69 * scale),
    others=[iron(), block(repeat=2), face_centred(29, 3.6)],
    lone=lone_atom(),
)
METALS = Samples(
    pushed=cubic_copper,
    scaled=lambda scale: face_centred(29, 3.59 * scale),
    others=[cubic_copper(numbers=(79, 29, 29, 29)), face_centred(13, 4.0)],
    lone=replace(lone_atom(), numbers=np.array([29])),
)


@dataclass(frozen=True)
class Direct:
    """What a library says of a crystal when it is called without us."""

    energy_ev_per_atom: float
    forces_ev_per_angstrom: np.ndarray
    stress_gpa: np.ndarray
    magnetic_moments_mu_b: np.ndarray


@cache
def _chgnet(model_name: str) -> Any:
    from chgnet.model.model import CHGNet

    return CHGNet.load(model_name=model_name, use_device="cpu", verbose=False)


def chgnet_directly(crystal: Crystal, *, model_name: str) -> Direct:
    """CHGNet's own prediction of a structure that pymatgen makes of the same numbers."""
    from pymatgen.core import Lattice, Structure

    structure = Structure(Lattice(crystal.cell), crystal.numbers.tolist(), crystal.frac_coords)
    prediction = _chgnet(model_name).predict_structure(structure)
    return Direct(float(prediction["e"]), prediction["f"], prediction["s"], prediction["m"])


def calculator_directly(crystal: Crystal, *, make: Callable[[], Any]) -> Direct:
    """What an ASE calculator says of atoms of the same numbers."""
    from ase import Atoms

    atoms = Atoms(crystal.numbers, cell=crystal.cell, scaled_positions=crystal.frac_coords, pbc=True)
    atoms.calc = make()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
    without_spin = np.zeros(len(atoms))
    return Direct(energy / len(atoms), forces, stress * GPA_PER_EV_PER_CUBIC_ANGSTROM, without_spin)


def emt() -> Any:
    """A calculator that ASE itself has, for a handful of metals."""
    from ase.calculators.emt import EMT

    return EMT()


@cache
def mace_calculator() -> Any:
    """MACE's own calculator of the tiny network."""
    with mace_imported():
        from mace.calculators import MACECalculator

        return MACECalculator(models=[tiny_mace().float()], device="cpu", default_dtype="float32")


def tiny_mace_spec(folder: Path) -> str:
    path = folder / "tiny.model"
    return f"mace:{path}#sha256={saved(tiny_mace(), path)}"


@dataclass(frozen=True)
class Registered:
    """A potential as the service loads it, its library called directly, and what they know."""

    spec: Callable[[Path], str]  # given a folder for files
    network: Network
    directly: Callable[[Crystal], Direct]
    unknown_atomic_number: int
    samples: Samples = GENERAL
    # What comes of an atom with nothing near: its energy, or that the potential cannot say.
    lone_outcome: type[Evaluation | IsolatedAtomError] = Evaluation
    is_trained: bool = True


def _chgnets() -> Mapping[str, Registered]:
    return {
        f"{release}-{network.value}": Registered(
            lambda _folder, release=release: release,  # type: ignore[misc] -- binds the loop's value
            network,
            partial(chgnet_directly, model_name=model_name),
            unknown_atomic_number=unknown,
            lone_outcome=IsolatedAtomError,
        )
        for release, model_name, unknown in ((CHGNET, "0.3.0", 84), ("chgnet-r2scan", "r2scan", 70))
        for network in Network
    }


REGISTERED: Mapping[str, Registered] = {
    **_chgnets(),
    "mace": Registered(
        tiny_mace_spec,
        Network.FAST,
        partial(calculator_directly, make=mace_calculator),
        unknown_atomic_number=84,
        is_trained=False,
    ),
    "ase": Registered(
        lambda _folder: "emt=ase:ase.calculators.emt:EMT",
        Network.FAST,
        partial(calculator_directly, make=emt),
        unknown_atomic_number=18,
        samples=METALS,
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On crystals as small as these, torch's threads wait for each other longer than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(
    params=[pytest.param(name, marks=needs_mace if name == "mace" else ()) for name in REGISTERED],
    scope="module",
)
def registered(request: pytest.FixtureRequest) -> Registered:
    return REGISTERED[request.param]


@pytest.fixture(scope="module")
def samples(registered: Registered) -> Samples:
    return registered.samples


@pytest.fixture(scope="module")
def spec(registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> str:
    return registered.spec(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def potential(registered: Registered, spec: str) -> Potential:
    """The potential, loaded once."""
    parsed = parse_spec(spec)
    return engines.load([parsed], "cpu")[parsed.name][registered.network]


def foreign(registered: Registered) -> Crystal:
    """A crystal with one atom of an element that the potential does not know."""
    crystal = registered.samples.pushed(0.0)
    return replace(crystal, numbers=np.array([*crystal.numbers[:-1], registered.unknown_atomic_number]))


def evaluated(potential: Potential, crystals: Sequence[Crystal]) -> list[Evaluation]:
    """All that the potential can say of crystals that it knows."""
    outcomes = potential.evaluate(crystals, potential.info.quantities)
    assert all(isinstance(outcome, Evaluation) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]


def energy_of(potential: Potential, crystal: Crystal) -> float:
    (outcome,) = potential.evaluate([crystal], frozenset({Quantity.ENERGY}))
    assert isinstance(outcome, Evaluation)
    return outcome.energy_ev


def assert_same(potential: Potential, ours: Evaluation, theirs: Evaluation | Direct, of: str = "") -> None:
    """Energy to 1e-5 eV/atom, forces to 1e-4 eV/Å, stress and moments alike."""
    assert ours.energy_ev_per_atom == pytest.approx(theirs.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)
    for quantity in potential.info.quantities - {Quantity.ENERGY}:
        name, tolerance = ARRAYS[quantity]
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=tolerance, err_msg=of)


def test_it_is_what_was_described(registered: Registered, spec: str, potential: Potential) -> None:
    """The info of the loaded potential has the name that it was asked for by, and is complete."""
    info = potential.info
    assert info.name == parse_spec(spec).name
    assert info.cutoff_angstrom > 0
    assert all((info.name, info.version, info.license, info.description, info.device))
    assert list(info.atomic_numbers) == sorted(set(info.atomic_numbers))
    assert Quantity.ENERGY in info.quantities
    assert registered.unknown_atomic_number not in info.atomic_numbers


def test_shapes_units_and_types(samples: Samples, potential: Potential) -> None:
    """Each quantity has its documented shape in double precision, and energies of cell and atom agree."""
    for crystal, outcome in zip(samples.all(), evaluated(potential, samples.all()), strict=True):
        n_atoms = len(crystal)
        shapes = {
            Quantity.FORCES: (n_atoms, 3),
            Quantity.STRESS: (3, 3),
            Quantity.MAGNETIC_MOMENTS: (n_atoms,),
        }
        for quantity in potential.info.quantities - {Quantity.ENERGY}:
            array = getattr(outcome, ARRAYS[quantity][0])
            assert (array.shape, array.dtype) == (shapes[quantity], np.float64), quantity
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
def test_what_was_not_asked_for_is_none(
    samples: Samples, potential: Potential, asked: frozenset[Quantity]
) -> None:
    """Any subset of its quantities comes as asked, the energy always; asking for less changes no number."""
    crystal = samples.pushed(0.02)
    asked &= potential.info.quantities
    (some,) = potential.evaluate([crystal], asked | {Quantity.ENERGY})
    (everything,) = evaluated(potential, [crystal])
    assert isinstance(some, Evaluation)
    assert some.energy_ev_per_atom == pytest.approx(everything.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)
    for quantity, (name, tolerance) in ARRAYS.items():
        array = getattr(some, name)
        assert (array is not None) == (quantity in asked)
        if array is not None:
            np.testing.assert_allclose(array, getattr(everything, name), atol=tolerance)


# CHGNet does what torch deprecates; we are quiet about it in the engine, not here.
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_it_says_what_its_library_says(
    registered: Registered, samples: Samples, potential: Potential
) -> None:
    """Energy to 1e-5 eV/atom, forces to 1e-4 eV/Å, stress and moments equal the library called directly."""
    for crystal, ours in zip(samples.all(), evaluated(potential, samples.all()), strict=True):
        assert_same(potential, ours, registered.directly(crystal), crystal.id)


def test_batched_equals_single(samples: Samples, potential: Potential) -> None:
    """A crystal's numbers do not depend on its company or its place in the batch."""
    batch = samples.all()
    singles = [evaluated(potential, [crystal])[0] for crystal in batch]
    for order in (range(len(batch)), range(len(batch) - 1, -1, -1)):
        together = evaluated(potential, [batch[position] for position in order])
        for position, ours in zip(order, together, strict=True):
            assert_same(potential, ours, singles[position])


def test_a_failing_crystal_fails_alone(
    registered: Registered, samples: Samples, potential: Potential
) -> None:
    """An unknown element is an outcome at its position, and so is an isolated atom; others are unchanged."""
    good = [samples.scaled(1.0), samples.pushed(0.02), samples.others[0]]
    batch = [good[0], foreign(registered), good[1], samples.lone, good[2]]
    outcomes = potential.evaluate(batch, potential.info.quantities)
    assert [type(outcome) for outcome in outcomes] == [
        Evaluation, UnsupportedElementError, Evaluation, registered.lone_outcome, Evaluation,
    ]  # fmt: skip
    for ours, single in zip([outcomes[0], outcomes[2], outcomes[4]], evaluated(potential, good), strict=True):
        assert isinstance(ours, Evaluation)
        assert ours.energy_ev_per_atom == pytest.approx(single.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)


def test_an_isolated_atom_is_refused_or_feels_nothing(
    registered: Registered, samples: Samples, potential: Potential
) -> None:
    """With nothing near, a potential says that it cannot say, or gives an energy without force and stress."""
    (outcome,) = potential.evaluate([samples.lone], potential.info.quantities)
    assert type(outcome) is registered.lone_outcome
    if isinstance(outcome, Evaluation):
        np.testing.assert_allclose(outcome.forces_ev_per_angstrom, np.zeros((1, 3)), atol=1e-6)
        np.testing.assert_allclose(outcome.stress_gpa, np.zeros((3, 3)), atol=1e-6)


def test_a_batch_of_nothing_but_failures(registered: Registered, potential: Potential) -> None:
    """A batch in which nothing can be computed has a failure for each, and an empty batch nothing."""
    outcomes = potential.evaluate([foreign(registered)] * 2, potential.info.quantities)
    assert all(isinstance(outcome, PreconditionError) for outcome in outcomes)
    assert len(outcomes) == 2
    assert not potential.evaluate([], potential.info.quantities)


def test_an_unknown_element_is_named(registered: Registered, potential: Potential) -> None:
    """The failure names the atomic number that the potential does not know."""
    (outcome,) = potential.evaluate([foreign(registered)], potential.info.quantities)
    assert isinstance(outcome, CrystalMeshError)
    assert str(registered.unknown_atomic_number) in outcome.details["elements"]


def test_any_image_of_a_site_is_the_same_site(samples: Samples, potential: Potential) -> None:
    """Fractional coordinates outside of the cell change nothing."""
    crystal = samples.pushed(0.02)
    images = np.zeros((len(crystal), 3))
    images[:2] = [[3.0, -2.0, 1.0], [-5.0, 0.0, 7.0]]
    here, there = evaluated(potential, [crystal, replace(crystal, frac_coords=crystal.frac_coords + images)])
    assert there.energy_ev_per_atom == pytest.approx(here.energy_ev_per_atom, abs=ENERGY_EV_PER_ATOM)
    np.testing.assert_allclose(
        there.forces_ev_per_angstrom, here.forces_ev_per_angstrom, atol=FORCE_EV_PER_ANGSTROM
    )


def test_forces_are_the_slope_of_the_energy(samples: Samples, potential: Potential) -> None:
    """A force is minus the finite difference of the energy along it."""
    crystal = samples.pushed(0.03)
    (outcome,) = evaluated(potential, [crystal])
    assert outcome.forces_ev_per_angstrom is not None
    assert np.abs(outcome.forces_ev_per_angstrom[1]).max() > 0.05, "a slope of nothing shows nothing"
    step = 0.01
    for axis in range(3):
        move = np.zeros((len(crystal), 3))
        move[1, axis] = step
        shift = move @ np.linalg.inv(crystal.cell)
        up, down = (
            energy_of(potential, replace(crystal, frac_coords=crystal.frac_coords + sign * shift))
            for sign in (1, -1)
        )
        slope = -(up - down) / (2 * step)
        assert outcome.forces_ev_per_angstrom[1, axis] == pytest.approx(slope, rel=0.02, abs=0.01)


@pytest.mark.parametrize("scale", [0.95, 1.055], ids=["squeezed", "stretched"])
def test_stress_is_the_slope_of_the_energy_and_positive_when_stretched(
    registered: Registered, potential: Potential, scale: float
) -> None:
    """Stress is dE/dε per volume, components and sign: a stretched crystal has a positive trace."""
    crystal = registered.samples.scaled(scale)
    crystal = replace(
        crystal, cell=crystal.cell @ (np.eye(3) + np.array([[0, 0.02, 0], [0.02, 0, 0], [0, 0, 0.03]]))
    )
    (outcome,) = evaluated(potential, [crystal])
    assert outcome.stress_gpa is not None
    if registered.is_trained:  # an untrained one knows no crystal's size
        assert np.sign(outcome.stress_gpa.trace()) == (1 if scale > 1 else -1)
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
