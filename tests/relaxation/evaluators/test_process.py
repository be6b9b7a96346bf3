from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.children.process import ChildLostError
from crystalmesh_common.runtime.errors import ModelFailedError, UnsupportedElementError
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engine import Evaluation, Network, Quantity
from crystalmesh_relaxation.engines.specs import CHGNET, parse_spec
from crystalmesh_relaxation.evaluators.messages import Batch, Start
from crystalmesh_relaxation.evaluators.process import EvaluatorProcess
from tests.conftest import block, copies, silicon, sodium_chloride

START = Start("tests", (CHGNET,), "cpu", 1, "error", "text")


def batch_of(*crystals: Crystal, quantities: frozenset[Quantity] = frozenset(Quantity)) -> Batch:
    return Batch(CHGNET, Network.FAST, quantities, crystals)


@pytest.fixture(scope="module")
def evaluator() -> Iterator[EvaluatorProcess]:
    """One process for all tests; those that kill it leave it to the next batch to start another."""
    evaluator = EvaluatorProcess(START)
    (info,) = evaluator.load()
    assert info == engines.load([parse_spec(CHGNET)], "cpu")[CHGNET][Network.FAST].info
    yield evaluator
    evaluator.close()


def kill(evaluator: EvaluatorProcess) -> None:
    assert evaluator.pid is not None
    os.kill(evaluator.pid, signal.SIGKILL)


def test_it_says_what_the_potential_says(evaluator: EvaluatorProcess) -> None:
    """Every number comes through the pipe as it is, also when only some are asked for."""
    crystals = [silicon(shift=0.02), sodium_chloride()]
    potential = engines.load([parse_spec(CHGNET)], "cpu")[CHGNET][Network.FAST]
    for quantities in (frozenset(Quantity), frozenset({Quantity.ENERGY})):
        there = evaluator.evaluate(batch_of(*crystals, quantities=quantities))
        for ours, direct in zip(there, potential.evaluate(crystals, quantities), strict=True):
            assert isinstance(ours, Evaluation)
            assert isinstance(direct, Evaluation)
            assert ours.energy_ev == pytest.approx(direct.energy_ev, abs=1e-5)
            for name in ("forces_ev_per_angstrom", "stress_gpa", "magnetic_moments_mu_b"):
                a, b = getattr(ours, name), getattr(direct, name)
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_failing_crystal_fails_alone(evaluator: EvaluatorProcess) -> None:
    """What is wrong with one crystal comes as the error that it is, among the others' numbers."""
    foreign = replace(sodium_chloride(), numbers=np.array([84, 17]))
    outcomes = evaluator.evaluate(batch_of(silicon(), foreign, sodium_chloride()))
    assert [type(outcome) for outcome in outcomes] == [Evaluation, UnsupportedElementError, Evaluation]


def test_killed_while_idle_a_single_crystal_is_tried_again(evaluator: EvaluatorProcess) -> None:
    """A batch of one does not notice that the process has died, and comes from a new one."""
    before = evaluator.pid
    kill(evaluator)
    (outcome,) = evaluator.evaluate(batch_of(silicon()))
    assert isinstance(outcome, Evaluation)
    assert evaluator.pid != before


def test_killed_in_mid_batch_it_says_so_and_goes_on(evaluator: EvaluatorProcess) -> None:
    """A batch of several fails as lost, so that its crystals can be tried one by one, which works."""
    crystals = copies(block(repeat=4), 40)
    found: list[BaseException] = []

    def evaluate() -> None:
        try:
            evaluator.evaluate(batch_of(*crystals))
        except ChildLostError as error:
            found.append(error)

    evaluator.evaluate(batch_of(silicon()))
    thread = threading.Thread(target=evaluate)
    thread.start()
    kill(evaluator)
    thread.join()
    assert [type(error) for error in found] == [ChildLostError]
    (outcome,) = evaluator.evaluate(batch_of(crystals[0]))
    assert isinstance(outcome, Evaluation)


def test_a_crystal_that_kills_twice_is_given_up(
    evaluator: EvaluatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second death over the same crystal is its outcome; the next crystal has a process again."""
    receive = evaluator._receive
    deaths: list[int] = []

    def dying() -> object:
        # Once loaded, a new process is killed before it can answer.
        kind, body = receive()
        if len(deaths) < 2 and kind.name == "OUTCOME":
            deaths.append(evaluator.pid or 0)
            raise evaluator._lost()
        return kind, body

    monkeypatch.setattr(evaluator, "_receive", dying)
    with pytest.raises(ModelFailedError, match="twice"):
        evaluator.evaluate(batch_of(silicon()))
    assert len(set(deaths)) == 2
    (outcome,) = evaluator.evaluate(batch_of(silicon()))
    assert isinstance(outcome, Evaluation)


def test_potentials_that_cannot_be_loaded_fail_the_start() -> None:
    """What went wrong in the process is raised here, and the process is gone."""
    evaluator = EvaluatorProcess(replace(START, models=("no-such-potential",)))
    with pytest.raises(ModelFailedError, match="no-such-potential"):
        evaluator.load()
    assert evaluator.pid is None


def test_closing_ends_the_process() -> None:
    """After `close` there is no such process."""
    evaluator = EvaluatorProcess(START)
    evaluator.load()
    pid = evaluator.pid
    assert pid is not None
    evaluator.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
