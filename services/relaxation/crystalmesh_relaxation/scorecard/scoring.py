"""Judging a potential: the stages of a scorecard, each metric told as soon as it is known."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.dynamics.task import DynamicsReport, DynamicsTask
from crystalmesh_relaxation.engine import Evaluation
from crystalmesh_relaxation.scorecard.agreement import (
    LabelledFrame,
    energy_error_ev_per_atom,
    force_error_ev_per_angstrom,
)
from crystalmesh_relaxation.scorecard.definition import (
    DynamicsProtocol,
    MetricDefinition,
    ScorecardDefinition,
)

Work = Crystal | DynamicsTask
Laboratory = Callable[[Sequence[Work]], Awaitable[Sequence[object]]]
"""Evaluates crystals, energies and forces, and runs tasks to their end, on the potential to be judged. Gives
the outcome of each in order, a CrystalMeshError where it failed."""
Outcome = TypeVar("Outcome", Evaluation, DynamicsReport)


@dataclass(frozen=True)
class Metric:
    """One line of a scorecard, filled in."""

    definition: MetricDefinition
    value: float

    @property
    def passed(self) -> bool:
        return self.definition.passes(self.value)

    @property
    def score(self) -> float:
        return self.definition.score(self.value)


@dataclass(frozen=True)
class Scorecard:
    """The verdict on a potential."""

    definition: ScorecardDefinition
    metrics: tuple[Metric, ...]

    @property
    def composite_score(self) -> float:
        """One number in [0, 1]: the weighted geometric mean of the metrics' scores."""
        return float(np.prod([metric.score**metric.definition.weight for metric in self.metrics]))

    @property
    def passed(self) -> bool:
        return all(metric.passed for metric in self.metrics)


async def judged(
    frames: Sequence[LabelledFrame], definition: ScorecardDefinition, laboratory: Laboratory, *, seed: int
) -> AsyncGenerator[Metric | Scorecard | CrystalMeshError, None]:
    """Yield each metric in the order of the definition, then the scorecard.

    Ends with an error instead where the potential fails on a frame: such a potential cannot be judged. The
    frames are as `check_comparable` wants them.
    """
    metrics: list[Metric] = []
    try:
        async for metric in _metrics(frames, definition, laboratory, seed):
            metrics.append(metric)
            yield metric
    except CrystalMeshError as error:
        yield error
    else:
        yield Scorecard(definition, tuple(metrics))


async def _metrics(
    frames: Sequence[LabelledFrame], definition: ScorecardDefinition, laboratory: Laboratory, seed: int
) -> AsyncGenerator[Metric, None]:
    crystals = [frame.crystal for frame in frames]
    await laboratory(crystals[:1])
    began = time.perf_counter()
    outcomes = await laboratory(crystals)
    seconds = time.perf_counter() - began
    evaluations = _all_of(Evaluation, crystals, outcomes)
    yield Metric(definition.energy_error, energy_error_ev_per_atom(frames, evaluations))
    yield Metric(definition.force_error, force_error_ev_per_angstrom(frames, evaluations))
    yield Metric(definition.throughput, sum(map(len, crystals)) / seconds)
    runs = await _runs(crystals, definition.drift_protocol, laboratory, seed)
    yield Metric(definition.drift, _drift(runs, definition.worst_drift_mev_per_atom_per_ps))
    runs = await _runs(crystals, definition.survival_protocol, laboratory, seed)
    yield Metric(definition.survival, _survival(runs, definition.least_bonds_kept_fraction))


async def _runs(
    crystals: Sequence[Crystal], protocol: DynamicsProtocol, laboratory: Laboratory, seed: int
) -> list[DynamicsReport]:
    """The protocol's dynamics of some of the crystals."""
    count = min(protocol.crystals, len(crystals))
    chosen = [crystals[position * len(crystals) // count] for position in range(count)]
    options = protocol.options(seed)
    outcomes = await laboratory([DynamicsTask(crystal, options) for crystal in chosen])
    return _all_of(DynamicsReport, chosen, outcomes)


def _drift(runs: Sequence[DynamicsReport], worst: float) -> float:
    drifts = [abs(run.energy_drift_mev_per_atom_per_ps) if run.stable else worst for run in runs]
    return float(np.minimum(drifts, worst).mean())


def _survival(runs: Sequence[DynamicsReport], least_bonds: float) -> float:
    return float(np.mean([run.stable and run.bonds_kept_fraction >= least_bonds for run in runs]))


def _all_of(kind: type[Outcome], crystals: Sequence[Crystal], outcomes: Sequence[object]) -> list[Outcome]:
    """The outcomes, all of the kind; raises the first error, with the crystal that it is about."""
    found = []
    for crystal, outcome in zip(crystals, outcomes, strict=True):
        if isinstance(outcome, CrystalMeshError):
            raise _about(crystal, outcome)
        if not isinstance(outcome, kind):
            raise TypeError(f"a {kind.__name__} was due, not a {type(outcome).__name__}")
        found.append(outcome)
    return found


def _about(crystal: Crystal, error: CrystalMeshError) -> CrystalMeshError:
    details = {**error.details, "crystal_id": crystal.id}
    return type(error)(
        f"frame {crystal.id[:80]!r}: {error.message}",
        retry_after_seconds=error.retry_after_seconds,
        **details,
    )
