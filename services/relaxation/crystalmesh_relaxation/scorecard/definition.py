"""What a scorecard measures and demands, as a document with a hash.

The document is all that a score depends on beside the potential, the frames and the seed. Two scores compare
if their hashes are equal, so a published definition never changes: a better one gets a new name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from types import MappingProxyType

from crystalmesh_common.runtime.errors import ResourceNotFoundError
from crystalmesh_relaxation.dynamics.task import DynamicsOptions, Ensemble


@dataclass(frozen=True)
class MetricDefinition:
    """One line of a scorecard: what is measured, and what it must reach."""

    name: str
    meaning: str
    threshold: float
    higher_is_better: bool
    weight: float  # in the composite score; the weights of a scorecard add up to 1

    def passes(self, value: float) -> bool:
        """Whether the value reaches the threshold; NaN does not."""
        return value >= self.threshold if self.higher_is_better else value <= self.threshold

    def score(self, value: float) -> float:
        """The value's share of what could be had, in [0, 1]."""
        if self.higher_is_better:
            return min(1.0, max(0.0, value / self.threshold))
        return 1.0 / (1.0 + value / self.threshold)


@dataclass(frozen=True)
class DynamicsProtocol:
    """Which dynamics is run on how many of the frames."""

    crystals: int  # at most; spread evenly over the frames
    ensemble: str
    steps: int
    time_step_fs: float
    temperature_kelvin: float
    friction_per_fs: float

    def options(self, seed: int) -> DynamicsOptions:
        return DynamicsOptions(
            steps=self.steps,
            ensemble=Ensemble(self.ensemble),
            time_step_fs=self.time_step_fs,
            temperature_kelvin=self.temperature_kelvin,
            friction_per_fs=self.friction_per_fs,
            frame_interval_steps=0,
            seed=seed,
        )


@dataclass(frozen=True)
class ScorecardDefinition:
    """A scorecard: its five metrics, in the order in which they are reported, and how they are measured."""

    name: str
    energy_error: MetricDefinition
    force_error: MetricDefinition
    throughput: MetricDefinition
    drift: MetricDefinition
    survival: MetricDefinition
    drift_protocol: DynamicsProtocol
    survival_protocol: DynamicsProtocol
    worst_drift_mev_per_atom_per_ps: float  # a run that breaks counts with this drift, and no run with more
    least_bonds_kept_fraction: float  # a run that keeps fewer of its bonds has not survived
    composite: str

    @property
    def metrics(self) -> tuple[MetricDefinition, ...]:
        return (self.energy_error, self.force_error, self.throughput, self.drift, self.survival)

    @cached_property
    def sha256(self) -> str:
        """The hash of the document as canonical JSON: keys sorted, no spaces, ASCII."""
        document = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()


PHYSICAL_1 = ScorecardDefinition(
    name="physical-1",
    energy_error=MetricDefinition(
        name="energy_mae_ev_per_atom",
        meaning=(
            "Mean absolute error of the energy per atom. Methods differ in what they call zero, so the "
            "differences are first fitted with one energy per element (least squares over frames, per atom, "
            "minimum norm), and each frame is judged by a fit to all other frames. A frame whose composition "
            "the others do not span cannot be judged so and is left out."
        ),
        threshold=0.05,
        higher_is_better=False,
        weight=0.2,
    ),
    force_error=MetricDefinition(
        name="force_mae_ev_per_angstrom",
        meaning="Mean absolute error over the Cartesian force components of all atoms of all frames.",
        threshold=0.15,
        higher_is_better=False,
        weight=0.3,
    ),
    throughput=MetricDefinition(
        name="throughput_atoms_per_second",
        meaning=(
            "Atoms of all frames, divided by the seconds of wall time from asking for their energies and "
            "forces until all are there, in the server's own batches, beside whatever else it does; one "
            "frame is evaluated before the clock starts."
        ),
        threshold=50.0,
        higher_is_better=True,
        weight=0.1,
    ),
    drift=MetricDefinition(
        name="nve_drift_mev_per_atom_per_ps",
        meaning=(
            "Mean over the runs of drift_protocol of the magnitude of the least-squares slope of the total "
            "energy, each at most worst_drift_mev_per_atom_per_ps. A run that breaks counts as that."
        ),
        threshold=2.0,
        higher_is_better=False,
        weight=0.2,
    ),
    survival=MetricDefinition(
        name="survival_fraction",
        meaning=(
            "Fraction of the runs of survival_protocol that come to their end without atoms that collide, a "
            "temperature that runs away or a potential that fails, and then still have at least "
            "least_bonds_kept_fraction of the bonds of their start."
        ),
        threshold=1.0,
        higher_is_better=True,
        weight=0.2,
    ),
    drift_protocol=DynamicsProtocol(
        crystals=4,
        ensemble=Ensemble.NVE.value,
        steps=200,
        time_step_fs=1.0,
        temperature_kelvin=300.0,
        friction_per_fs=0.01,
    ),
    survival_protocol=DynamicsProtocol(
        crystals=8,
        ensemble=Ensemble.NVT_LANGEVIN.value,
        steps=200,
        time_step_fs=2.0,
        temperature_kelvin=600.0,
        friction_per_fs=0.01,
    ),
    worst_drift_mev_per_atom_per_ps=1000.0,
    least_bonds_kept_fraction=0.5,
    composite=(
        "Product of the metrics' scores, each to the power of its weight. Where less is better a score is "
        "1 / (1 + value / threshold), else value / threshold and at most 1."
    ),
)

SCORECARDS: Mapping[str, ScorecardDefinition] = MappingProxyType({PHYSICAL_1.name: PHYSICAL_1})
"""Every scorecard by its name, the newest last."""


def find_scorecard(name: str) -> ScorecardDefinition:
    """The scorecard of that name, the newest for no name. Raises ResourceNotFoundError."""
    wanted = name or list(SCORECARDS)[-1]
    if wanted not in SCORECARDS:
        raise ResourceNotFoundError(
            f"there is no scorecard {wanted[:80]!r}, but {', '.join(SCORECARDS)}",
            resource="scorecard",
            field="scorecard",
        )
    return SCORECARDS[wanted]
