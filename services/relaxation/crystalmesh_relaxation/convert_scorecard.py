"""Scorecards: protobuf to labelled frames, and metrics and verdicts back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np

from crystalmesh.relaxation.v1 import scorecard_pb2
from crystalmesh.relaxation.v1.scorecard_pb2 import ScorePotentialRequest, ScorePotentialResponse
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InternalError,
    InvalidFieldError,
    OutOfMemoryError,
    PreconditionError,
    UnsupportedQuantityError,
)
from crystalmesh_common.runtime.intake import resolve_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_relaxation.engine import PotentialInfo, Quantity
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.scorecard.agreement import LabelledFrame, check_comparable
from crystalmesh_relaxation.scorecard.definition import ScorecardDefinition, find_scorecard
from crystalmesh_relaxation.scorecard.scoring import Metric, Scorecard

SCORED_QUANTITIES = frozenset({Quantity.ENERGY, Quantity.FORCES})


@dataclass(frozen=True)
class ScoreOrder:
    """A request that is right as far as it can be told before its crystals are read."""

    potential: PotentialInfo
    definition: ScorecardDefinition
    ids: Sequence[str]
    seed: int


def score_order(request: ScorePotentialRequest, models: Models, limits: Limits) -> ScoreOrder:
    """Check a request.

    Raises an InvalidRequestError, a ResourceNotFoundError, an UnsupportedQuantityError, or what
    `Models.resolve` raises.
    """
    potential = models.resolve(request.model)
    if Quantity.FORCES not in potential.quantities:
        raise UnsupportedQuantityError(f"{potential.name} cannot give forces, which a scorecard judges")
    definition = find_scorecard(request.scorecard)
    ids = resolve_ids([frame.crystal for frame in request.frames], max_crystals=limits.crystals_per_call)
    return ScoreOrder(potential, definition, ids, request.seed)


async def labelled_frames(
    messages: Sequence[scorecard_pb2.LabelledFrame], crystals: AsyncIterator[Crystal | CrystalMeshError]
) -> list[LabelledFrame]:
    """The frames, all of them, in order.

    Raises the error of the first that is wrong: a score of the others would be another score.
    """
    frames: list[LabelledFrame] = []
    async for crystal in crystals:
        position = len(frames)
        if isinstance(crystal, CrystalMeshError):
            raise _in_frame(position, crystal)
        frames.append(_labelled(position, messages[position], crystal))
    check_comparable(frames)
    return frames


def score_response(outcome: Metric | Scorecard | CrystalMeshError, model: str) -> ScorePotentialResponse:
    """The message that brings a metric, the verdict, or why there is none.

    Raises an error that says nothing of the potential, as of a deadline that passed or a full queue.
    """
    response = ScorePotentialResponse()
    match outcome:
        case PreconditionError() | InternalError() | OutOfMemoryError():
            response.error.CopyFrom(to_status(outcome))
        case CrystalMeshError():
            raise outcome
        case Metric():
            response.metric.CopyFrom(_metric(outcome))
        case Scorecard():
            response.scorecard.name = outcome.definition.name
            response.scorecard.definition_sha256 = outcome.definition.sha256
            response.scorecard.model = model
            response.scorecard.metrics.extend(map(_metric, outcome.metrics))
            response.scorecard.composite_score = outcome.composite_score
            response.scorecard.passed = outcome.passed
    return response


def _metric(metric: Metric) -> scorecard_pb2.ScoreMetric:
    return scorecard_pb2.ScoreMetric(
        name=metric.definition.name,
        value=metric.value,
        threshold=metric.definition.threshold,
        higher_is_better=metric.definition.higher_is_better,
        passed=metric.passed,
    )


def _labelled(position: int, message: scorecard_pb2.LabelledFrame, crystal: Crystal) -> LabelledFrame:
    forces = np.array(message.forces_ev_per_angstrom, dtype=np.float64)
    if forces.size != 3 * len(crystal):
        raise InvalidFieldError(
            f"frames[{position}] has {len(crystal)} atoms and so needs {3 * len(crystal)} force components, "
            f"there are {forces.size}",
            field=f"frames[{position}].forces_ev_per_angstrom",
        )
    if not np.isfinite(forces).all():
        raise InvalidFieldError(
            f"frames[{position}] has a force that is not finite",
            field=f"frames[{position}].forces_ev_per_angstrom",
        )
    if not np.isfinite(message.energy_ev):
        raise InvalidFieldError(
            f"frames[{position}] has an energy that is not finite", field=f"frames[{position}].energy_ev"
        )
    return LabelledFrame(crystal, message.energy_ev, forces.reshape(-1, 3))


def _in_frame(position: int, error: CrystalMeshError) -> CrystalMeshError:
    """The error, with the frame that it is about."""
    inner = f".{error.details['field']}" if "field" in error.details else ""
    details = {**error.details, "field": f"frames[{position}].crystal{inner}"}
    return type(error)(
        f"frames[{position}]: {error.message}", retry_after_seconds=error.retry_after_seconds, **details
    )
