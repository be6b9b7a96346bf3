"""The physical scorecard of a potential: what it is judged on, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import scorecard_pb2
from crystalmesh_client.inputs import to_crystal
from crystalmesh_client.notebook import html_grid
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import InternalError, InvalidCrystalError
from crystalmesh_common.runtime.statuses import from_status

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A crystal with the energy and forces that a reference method gives it."""

    crystal: Crystal
    energy_ev: float
    forces_ev_per_angstrom: FloatArray = field(repr=False)  # (n, 3), Cartesian


@dataclass(frozen=True)
class ScoreMetric:
    """One line of a scorecard."""

    name: str  # with its unit: "force_mae_ev_per_angstrom"
    value: float
    threshold: float
    higher_is_better: bool
    passed: bool


@dataclass(frozen=True)
class Scorecard:
    """The verdict on a potential. Scorecards with equal `definition_sha256` compare."""

    name: str  # "physical-1"
    definition_sha256: str
    model: str
    metrics: tuple[ScoreMetric, ...]
    composite_score: float  # in [0, 1], larger is better
    passed: bool  # every metric did

    def __getitem__(self, name: str) -> ScoreMetric:
        """The metric of this name; KeyError when there is none."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    def _repr_html_(self) -> str:
        verdict = (self.model, f"{self.composite_score:.3f}", self.name, "yes" if self.passed else "no")
        rows = [
            (
                metric.name,
                f"{metric.value:.4g}",
                f"{'≥' if metric.higher_is_better else '≤'} {metric.threshold:g}",
                "yes" if metric.passed else "no",
            )
            for metric in self.metrics
        ]
        return html_grid(("metric", "value", "threshold", "passed"), [*rows, verdict])


def score_request(
    frames: Iterable[LabelledFrame | Atoms], scorecard: str, seed: int, model: str
) -> scorecard_pb2.ScorePotentialRequest:
    """The message that asks for a verdict on labelled frames."""
    return scorecard_pb2.ScorePotentialRequest(
        frames=[_labelled(position, frame) for position, frame in enumerate(frames)],
        scorecard=scorecard,
        seed=seed,
        model=model,
    )


def score_from(response: scorecard_pb2.ScorePotentialResponse) -> ScoreMetric | Scorecard:
    """What a response brings; raises why the potential cannot be judged."""
    match response.WhichOneof("outcome"):
        case "metric":
            return _metric_from(response.metric)
        case "scorecard":
            return _scorecard_from(response.scorecard)
        case _:
            raise from_status(response.error)


def verdict_of(outcomes: Sequence[ScoreMetric | Scorecard]) -> Scorecard:
    """The scorecard, which comes last."""
    last = outcomes[-1] if outcomes else None
    if not isinstance(last, Scorecard):
        raise InternalError("the server ended the call without a scorecard")
    return last


def _labelled(position: int, frame: LabelledFrame | Atoms) -> scorecard_pb2.LabelledFrame:
    labelled = frame if isinstance(frame, LabelledFrame) else _from_atoms(position, frame)
    crystal = labelled.crystal
    return scorecard_pb2.LabelledFrame(
        # A position is a name that no two frames share; those of files often do.
        crystal=CrystalInput(id=str(position), crystal=crystal_to_proto(crystal)),
        energy_ev=labelled.energy_ev,
        forces_ev_per_angstrom=np.asarray(labelled.forces_ev_per_angstrom, dtype=np.float64).ravel().tolist(),
    )


def _from_atoms(position: int, atoms: Atoms) -> LabelledFrame:
    results = getattr(atoms.calc, "results", {})
    if "energy" not in results or "forces" not in results:
        raise InvalidCrystalError(
            f"frame {position} has no energy and forces: its Atoms need a calculator that holds them",
            field="frames",
        )
    return LabelledFrame(to_crystal(atoms), float(results["energy"]), results["forces"])


def _scorecard_from(message: scorecard_pb2.Scorecard) -> Scorecard:
    return Scorecard(
        name=message.name,
        definition_sha256=message.definition_sha256,
        model=message.model,
        metrics=tuple(_metric_from(metric) for metric in message.metrics),
        composite_score=message.composite_score,
        passed=message.passed,
    )


def _metric_from(message: scorecard_pb2.ScoreMetric) -> ScoreMetric:
    return ScoreMetric(
        message.name, message.value, message.threshold, message.higher_is_better, message.passed
    )
