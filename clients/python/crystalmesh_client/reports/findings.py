"""A candidate as a report shows it: what many of its parts need, worked out once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crystalmesh.agent.v1 import campaign_candidate_pb2
from crystalmesh.crystal.v1 import property_pb2
from crystalmesh_client.hulls import HullDistance, hull_distance_from
from crystalmesh_client.phases import Phase
from crystalmesh_client.predictions import PredictedValue, predicted_value_from
from crystalmesh_client.reports.wording import HULL
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError

_SYMPREC_ANGSTROM = 0.1
"""As the servers look for space groups of what was generated."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One candidate, relaxed where it was."""

    message: campaign_candidate_pb2.CampaignCandidate = field(repr=False)
    anchor: str  # that no text of a candidate can change: "candidate-3"
    crystal: Crystal | None = field(repr=False)  # relaxed, else as made; None: it has none, or a broken one
    formula: str
    space_group_number: int  # 0: not known
    values: Mapping[str, PredictedValue] = field(repr=False)  # by property, the hull distance among them
    hull: HullDistance | None = field(repr=False)

    @property
    def rank(self) -> int:
        """Its place; 0: not ranked."""
        return self.message.rank

    @property
    def is_hit(self) -> bool:
        return self.message.state == campaign_candidate_pb2.CANDIDATE_STATE_HIT

    @property
    def is_rejected(self) -> bool:
        return self.message.state == campaign_candidate_pb2.CANDIDATE_STATE_REJECTED

    @property
    def is_relaxed(self) -> bool:
        """Whether `crystal` is the end of a relaxation."""
        return self.crystal is not None and self.message.relaxation.HasField("crystal")

    @property
    def elements(self) -> frozenset[str]:
        if self.crystal is None:
            return frozenset()
        return frozenset(symbol_of(number) for number in self.crystal.numbers.tolist())

    @property
    def label(self) -> str:
        """What pictures call it: its rank."""
        return str(self.rank)


def findings_of(candidates: Sequence[campaign_candidate_pb2.CampaignCandidate]) -> Sequence[Finding]:
    """All candidates: ranked ones by rank, then the others as they come."""
    ordered = sorted(candidates, key=lambda each: (each.rank == 0, each.rank))
    return [_finding(position, each) for position, each in enumerate(ordered, 1)]


def _finding(position: int, message: campaign_candidate_pb2.CampaignCandidate) -> Finding:
    crystal = _crystal(message)
    hull = None
    if message.HasField("hull_distance"):
        name = message.hull_distance.formula
        hull = hull_distance_from(message.hull_distance, Phase(name, id=message.id))
    return Finding(
        message=message,
        anchor=f"candidate-{position}",
        crystal=crystal,
        formula=_formula(message, crystal),
        space_group_number=_space_group(message, crystal),
        values=_values(message.properties, hull),
        hull=hull,
    )


def _crystal(message: campaign_candidate_pb2.CampaignCandidate) -> Crystal | None:
    relaxed = message.relaxation
    source = relaxed.crystal if relaxed.HasField("crystal") else message.generated.crystal
    try:
        crystal = crystal_from_proto(source)
    except CrystalMeshError:
        return None
    return crystal if len(crystal) else None


def _formula(message: campaign_candidate_pb2.CampaignCandidate, crystal: Crystal | None) -> str:
    told = message.hull_distance.formula or message.generated.validity.formula
    if told or crystal is None:
        return told or "no crystal"
    try:
        return reduced_formula(crystal)
    except ValueError:  # an element that is none
        return "no formula"


def _space_group(message: campaign_candidate_pb2.CampaignCandidate, crystal: Crystal | None) -> int:
    try:
        from crystalmesh_common.crystal.symmetry import space_group_number  # noqa: PLC0415 -- needs moyopy

        if crystal is not None:
            return space_group_number(crystal, symprec=_SYMPREC_ANGSTROM)
    except (CrystalMeshError, ImportError):
        pass
    return message.generated.validity.space_group_number


def _values(
    properties: Iterable[property_pb2.PropertyValue], hull: HullDistance | None
) -> dict[str, PredictedValue]:
    values = {value.name: value for value in map(predicted_value_from, properties)}
    if hull is not None and HULL not in values:
        values[HULL] = PredictedValue(hull.energy_above_hull_ev_per_atom, name=HULL)
    return values
