from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from crystalmesh_relaxation.dynamics.task import DynamicsTask
from crystalmesh_relaxation.engine import Evaluation, Potential
from crystalmesh_relaxation.scorecard.agreement import LabelledFrame
from crystalmesh_relaxation.scorecard.definition import PHYSICAL_1
from crystalmesh_relaxation.scorecard.laboratory import StagedWork
from crystalmesh_relaxation.scorecard.scoring import Laboratory, Metric, Scorecard, Work, judged
from tests.conftest import block
from tests.relaxation.dynamics.springs import Springs, followed, rattled

REST = block(repeat=2)


def labelled(potential: Springs, count: int = 5) -> list[LabelledFrame]:
    """Frames with the labels that a potential gives them."""
    frames = []
    for number in range(count):
        crystal = rattled(REST, f"frame-{number}", seed=number)
        found = potential.evaluation(crystal)
        assert found.forces_ev_per_angstrom is not None
        frames.append(LabelledFrame(crystal, found.energy_ev, found.forces_ev_per_angstrom))
    return frames


def laboratory_of(potential: Potential) -> Laboratory:
    """Work done on the spot."""

    async def work(items: Sequence[Work]) -> list[object]:
        return [
            followed(potential, item)[1]
            if isinstance(item, DynamicsTask)
            else potential.evaluate([item], frozenset())[0]
            for item in items
        ]

    return work


async def outcomes_of(
    potential: Potential,
    frames: Sequence[LabelledFrame],
    seed: int = 0,
) -> list[Metric | Scorecard | errors.CrystalMeshError]:
    return [outcome async for outcome in judged(frames, PHYSICAL_1, laboratory_of(potential), seed=seed)]


async def scorecard_of(potential: Potential, *, seed: int = 0) -> Scorecard:
    *_, last = await outcomes_of(potential, labelled(Springs(REST)), seed)
    assert isinstance(last, Scorecard)
    return last


def values(scorecard: Scorecard) -> dict[str, float]:
    return {metric.definition.name: metric.value for metric in scorecard.metrics}


async def test_a_perfect_potential_scores_one() -> None:
    """Labels of its own, exact motion, fast enough: every metric passes and the composite is nearly 1."""
    scorecard = await scorecard_of(Springs(REST))
    assert scorecard.passed, values(scorecard)
    assert scorecard.composite_score == pytest.approx(1, abs=0.02)
    assert values(scorecard)["energy_mae_ev_per_atom"] == pytest.approx(0, abs=1e-9)
    assert values(scorecard)["survival_fraction"] == 1


async def test_each_metric_comes_before_the_verdict() -> None:
    """In the order of the definition, and the scorecard repeats them all."""
    *metrics, scorecard = await outcomes_of(Springs(REST), labelled(Springs(REST)))
    assert isinstance(scorecard, Scorecard)
    assert tuple(metrics) == scorecard.metrics
    assert tuple(metric.definition for metric in scorecard.metrics) == PHYSICAL_1.metrics


async def test_a_potential_that_explodes_fails() -> None:
    """Springs that push: wrong forces, no run survives, and the composite is 0."""
    scorecard = await scorecard_of(Springs(REST, stiffness=-8))
    found = values(scorecard)
    assert not scorecard.passed
    assert found["force_mae_ev_per_angstrom"] > PHYSICAL_1.force_error.threshold
    assert found["survival_fraction"] == 0
    assert scorecard.composite_score == 0


async def test_forces_that_belong_to_no_energy_drift() -> None:
    """Right energies with forces of a tenth too much conserve nothing: the drift gives it away."""

    class Unconserving(Springs):
        def evaluation(self, crystal: Crystal) -> Evaluation:
            found = super().evaluation(crystal)
            away = (crystal.frac_coords - self.rest.frac_coords) @ self.rest.cell
            swirl = 0.5 * np.roll(away, 1, axis=1) - 0.5 * np.roll(away, -1, axis=1)
            assert found.forces_ev_per_angstrom is not None
            return replace(found, forces_ev_per_angstrom=found.forces_ev_per_angstrom + swirl)

    found = values(await scorecard_of(Unconserving(REST)))
    assert found["energy_mae_ev_per_atom"] == pytest.approx(0, abs=1e-9)
    assert found["nve_drift_mev_per_atom_per_ps"] > PHYSICAL_1.drift.threshold


async def test_a_score_is_the_same_again() -> None:
    """All but the throughput, for the same seed; another seed gives other dynamics."""
    first, again, other = [values(await scorecard_of(Springs(REST), seed=seed)) for seed in (1, 1, 2)]
    name = PHYSICAL_1.throughput.name
    assert first.pop(name) > 0
    assert again.pop(name) > 0
    assert first == again
    assert first[PHYSICAL_1.drift.name] != other[PHYSICAL_1.drift.name]


async def test_a_potential_that_fails_on_a_frame_is_not_judged() -> None:
    """The error names the frame, and no metric comes with it."""

    class Picky(Springs):
        def evaluation(self, crystal: Crystal) -> Evaluation:
            if crystal.id == "frame-3":
                raise errors.IsolatedAtomError("site 0 is alone", site=0)
            return super().evaluation(crystal)

        def evaluate(
            self, crystals: object, quantities: object
        ) -> list[Evaluation | errors.CrystalMeshError]:
            try:
                return [self.evaluation(crystals[0])]  # type: ignore[index]
            except errors.CrystalMeshError as error:
                return [error]

    (error,) = await outcomes_of(Picky(REST), labelled(Springs(REST)))
    assert isinstance(error, errors.IsolatedAtomError)
    assert error.details == {"site": "0", "crystal_id": "frame-3"}
    assert "frame-3" in error.message


async def test_work_in_stages_goes_through_one_stream() -> None:
    """Each stage gets its own outcomes in order, in whatever order they come; closing closes the stream."""
    closed = []

    async def backwards(items: AsyncIterator[Work]) -> AsyncGenerator[tuple[int, object], None]:
        try:
            position = 0
            while True:
                pair = [await anext(items), await anext(items)]
                for offset in (1, 0):
                    item = pair[offset]
                    assert isinstance(item, Crystal)
                    yield position + offset, item.id
                position += 2
        finally:
            closed.append(True)

    stages = StagedWork(backwards)
    crystals = [replace(REST, id=str(number)) for number in range(6)]
    assert await stages(crystals[:2]) == ["0", "1"]
    assert await stages(crystals[2:]) == ["2", "3", "4", "5"]
    await stages.aclose()
    assert closed == [True]
