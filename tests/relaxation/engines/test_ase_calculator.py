from __future__ import annotations

import ase
import numpy as np
import pytest

from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    ModelFailedError,
    OutOfMemoryError,
    UnsupportedElementError,
)
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engine import Evaluation, Network, Potential, Quantity
from crystalmesh_relaxation.engines.specs import parse_spec
from crystalmesh_relaxation.evaluators.messages import Batch, Start
from crystalmesh_relaxation.evaluators.process import EvaluatorProcess
from tests.conftest import iron, silicon, sodium_chloride

CALCULATORS = "tests.relaxation.engines.calculators"


def load(factory: str) -> Potential:
    spec = parse_spec(f"mine=ase:{factory}")
    return engines.load([spec], "cpu")["mine"][Network.REFERENCE]


def test_what_a_calculator_can_give() -> None:
    """Quantities are those that it implements; elements are none, which means not stated."""
    info = load(f"{CALCULATORS}:on_its_own").info
    assert info.quantities == {Quantity.ENERGY, Quantity.FORCES, Quantity.MAGNETIC_MOMENTS}
    assert info.atomic_numbers == ()
    assert load("ase.calculators.emt:EMT").info.version == ase.__version__


def test_the_device_goes_to_a_factory_that_takes_one() -> None:
    """A factory with a parameter `device` gets the setting; of another's device nothing is claimed."""
    assert load(f"{CALCULATORS}:on_a_device").info.device == "cpu"
    assert load(f"{CALCULATORS}:on_its_own").info.device == "as the calculator chooses"


def test_magnetic_moments_are_magnitudes() -> None:
    """Moments lose their sign, as the API has them."""
    potential = load(f"{CALCULATORS}:on_its_own")
    (outcome,) = potential.evaluate([iron()], potential.info.quantities)
    assert isinstance(outcome, Evaluation)
    np.testing.assert_array_equal(outcome.magnetic_moments_mu_b, [1, 1])


@pytest.mark.parametrize(
    ("factory", "error", "says"),
    [
        ("unknown_element", UnsupportedElementError, "mine does not take Cl"),
        ("confused", ModelFailedError, "failed on this crystal"),
        ("out_of_memory", OutOfMemoryError, "out of memory"),
        ("out_of_torch_memory", OutOfMemoryError, "out of memory"),
        ("typed", CrystalMeshError, "typed"),
    ],
)
def test_what_a_calculator_raises_is_the_crystals_outcome(
    factory: str, error: type[CrystalMeshError], says: str
) -> None:
    """Whatever it raises for one crystal, the others have their numbers, before and after."""
    potential = load(f"{CALCULATORS}:{factory}")
    before, failed, after = potential.evaluate(
        [silicon(), sodium_chloride(), iron()], potential.info.quantities
    )
    assert isinstance(before, Evaluation)
    assert isinstance(after, Evaluation)
    assert type(failed) is error
    assert says in failed.message
    assert "went wrong" not in failed.message, "what it says goes to the log, not to callers"


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("no.such.module:factory", "cannot import no.such.module:factory: No module named 'no'"),
        (f"{CALCULATORS}:nothing", "cannot import .*: module .* has no attribute 'nothing'"),
        (f"{CALCULATORS}:needs_more", "failed to make a calculator: .* argument: 'something'"),
        (f"{CALCULATORS}:fails", "failed to make a calculator: license server not found"),
        (f"{CALCULATORS}:no_calculator", "gave no ASE calculator but a str"),
        (f"{CALCULATORS}:NoEnergies", "gives no energy"),
    ],
)
def test_a_factory_that_gives_no_potential(factory: str, says: str) -> None:
    """A factory that cannot be imported or called, or makes something else, fails the loading precisely."""
    with pytest.raises(ModelFailedError, match=says):
        load(factory)


def test_in_a_process_of_its_own() -> None:
    """An evaluator serves a calculator as it serves CHGNet: by its name, with whatever quantities it has."""
    spec = "emt=ase:ase.calculators.emt:EMT"
    evaluator = EvaluatorProcess(Start("tests", (spec,), "cpu", 1, "error", "text"))
    (info,) = evaluator.load()
    try:
        assert info == engines.load([parse_spec(spec)], "cpu")["emt"][Network.FAST].info
        (outcome,) = evaluator.evaluate(Batch("emt", Network.FAST, info.quantities, [iron()]))
    finally:
        evaluator.close()
    assert isinstance(outcome, UnsupportedElementError)
