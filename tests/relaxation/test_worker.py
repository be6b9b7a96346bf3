from __future__ import annotations

from collections.abc import Sequence

import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, IsolatedAtomError, ModelFailedError
from crystalmesh_relaxation.engine import Evaluation, estimated_edges
from crystalmesh_relaxation.engines.chgnet_fast.graph import build_graph
from crystalmesh_relaxation.procedure import Procedure, ProcedureTask
from crystalmesh_relaxation.worker import answer
from tests.conftest import block, iron, silicon, sodium_chloride

EVALUATION = Evaluation(2, -4.0)


def two_evaluations(crystal: Crystal) -> Procedure[float]:
    """The sum of what two evaluations say; the second may fail."""
    first = yield crystal
    try:
        second = yield crystal
    except IsolatedAtomError:
        return first.energy_ev
    return first.energy_ev + second.energy_ev


def advanced(outcomes: Sequence[Evaluation | CrystalMeshError]) -> list[float | CrystalMeshError | None]:
    task = ProcedureTask(two_evaluations(silicon()))
    return [task.advance(outcome) for outcome in outcomes]


def test_a_procedure_is_a_task() -> None:
    """It asks until it returns, and sees failures as exceptions where it asked."""
    assert advanced([EVALUATION, EVALUATION]) == [None, -8.0]
    assert advanced([EVALUATION, IsolatedAtomError("alone")]) == [None, -4.0]
    failure = IsolatedAtomError("alone")
    assert advanced([failure]) == [failure]


def test_a_task_that_breaks_is_its_own_failure() -> None:
    """A fault of ours in one task is that crystal's outcome: raised, it would run the batch again."""

    class Broken:
        crystal = silicon()

        def advance(self, outcome: Evaluation | CrystalMeshError) -> None:
            raise ZeroDivisionError

        def take_frames(self) -> Sequence[object]:
            return ()

    assert isinstance(answer(Broken(), EVALUATION), ModelFailedError)


@pytest.mark.parametrize("crystal", [sodium_chloride(), silicon(), iron(), block()], ids=lambda c: c.id)
def test_edges_are_estimated_well_enough_to_fill_batches(crystal: Crystal) -> None:
    """The density alone gives the edges of CHGNet's graph to a third."""
    assert estimated_edges(crystal, 6.0) == pytest.approx(2 * len(build_graph(crystal).first), rel=0.34)
