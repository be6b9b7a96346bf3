"""Candidates of campaigns, with all evidence for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from crystalmesh.agent.v1 import campaign_candidate_pb2, campaign_pb2
from crystalmesh.crystal.v1 import property_pb2
from crystalmesh_client.candidates import Candidate, candidate_from
from crystalmesh_client.hulls import HullDistance, hull_distance_from
from crystalmesh_client.json_forms import crystal_form, fields_form, json_form
from crystalmesh_client.notebook import html_table
from crystalmesh_client.phases import Phase
from crystalmesh_client.predictions import Prediction, prediction_from
from crystalmesh_client.properties import SHORT_NAMES, PropertyValue, property_name, value_from
from crystalmesh_client.results import Relaxation, relaxation_from
from crystalmesh_common.crystal.composition import chemical_system, reduced_formula
from crystalmesh_common.crystal.structure import Crystal

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.structure import Structure

StageName = Literal[
    "unspecified", "retrieve", "generate", "validate", "screen", "relax", "score", "novelty", "rank"
]
"""A step that candidates go through, in this order."""

CandidateStateName = Literal["unspecified", "in_progress", "rejected", "ranked", "hit"]
"""How far a candidate came; "hit": it fulfils all that was asked, is new, and the first of its kind."""

RejectionReasonName = Literal[
    "unspecified",
    "parse_failure",
    "invalid_structure",
    "invalid_composition",
    "duplicate",
    "known",
    "off_target",
    "not_relaxed",
    "unstable",
    "service_error",
]
"""A reason to drop a candidate."""

_STAGES: Mapping[int, StageName] = {
    campaign_pb2.CampaignStage.Value(f"CAMPAIGN_STAGE_{name.upper()}"): name for name in get_args(StageName)
}
_STATES: Mapping[int, CandidateStateName] = {
    campaign_candidate_pb2.CandidateState.Value(f"CANDIDATE_STATE_{name.upper()}"): name
    for name in get_args(CandidateStateName)
}
_STATE_NUMBERS: Mapping[str, int] = {name: number for number, name in _STATES.items()}
_REASONS: Mapping[int, RejectionReasonName] = {
    campaign_candidate_pb2.RejectionReason.Value(f"REJECTION_REASON_{name.upper()}"): name
    for name in get_args(RejectionReasonName)
}


@dataclass(frozen=True)
class StartingMaterial:
    """The known material that a candidate started from."""

    catalog: str  # empty: an earlier candidate of the campaign
    catalog_version: str
    material_id: str
    formula: str
    similarity: float | None  # to the target, in the retrieval; None: it was chosen otherwise

    def __str__(self) -> str:
        return f"{self.material_id} ({self.formula})" if self.formula else self.material_id


@dataclass(frozen=True)
class CandidateRejection:
    """Where and why a candidate was dropped."""

    stage: StageName
    reason: RejectionReasonName
    text: str  # in words, with the numbers that matter

    def __str__(self) -> str:
        reason = self.reason.replace("_", " ")
        return f"{reason} in {self.stage}" + (f": {self.text}" if self.text else "")


@dataclass(frozen=True)
class Novelty:
    """Whether a relaxed crystal is new."""

    new_to_catalog: bool
    matched_material_id: str  # the material that it is; empty: new to the catalog
    catalog_version: str
    first_in_campaign: bool
    matched_candidate_id: str  # the earlier candidate that it is; empty: the first

    @property
    def is_new(self) -> bool:
        """Neither the catalog nor the campaign has had it before."""
        return self.new_to_catalog and self.first_in_campaign


@dataclass(frozen=True)
class TargetFit:
    """How well a relaxed crystal fulfils the target."""

    fulfilled: bool
    misses: tuple[str, ...]  # one sentence each
    score: float  # in [0, 1], larger is better; ranks go by it


@dataclass(frozen=True)
class StageModel:
    """The model that a candidate met in a stage."""

    stage: StageName
    model: str
    version: str


@dataclass(frozen=True, eq=False)
class CampaignCandidate:
    """A crystal that a campaign made. Parts of stages that it has not reached are None."""

    id: str
    campaign_id: str
    round: int  # that it was made in, from 1
    state: CandidateStateName
    rejection: CandidateRejection | None  # None: it was not dropped
    starting_material: StartingMaterial | None = field(repr=False)  # None: it started from nothing
    generated: Candidate | None = field(repr=False)  # as it was made; None: the text was no crystal
    screening: Prediction | None = field(repr=False)  # what the property model said before relaxation
    relaxation: Relaxation | None = field(repr=False)
    hull_distance: HullDistance | None = field(repr=False)  # of the relaxed crystal
    properties: Mapping[str, PropertyValue] = field(repr=False)  # of the relaxed crystal, best source each
    novelty: Novelty | None = field(repr=False)
    target_fit: TargetFit | None
    rank: int  # among the ranked, from 1; 0: not ranked
    on_pareto_front: bool
    models: tuple[StageModel, ...] = field(repr=False)  # that it went through, by stage
    message: campaign_candidate_pb2.CampaignCandidate = field(repr=False)

    @property
    def is_hit(self) -> bool:
        """Whether it fulfils all that was asked."""
        return self.state == "hit"

    @property
    def crystal(self) -> Crystal | None:
        """The crystal as it is now, relaxed if it has been; None for text that was no crystal."""
        latest = self.relaxation or self.generated
        return None if latest is None else replace(latest.crystal, id=self.id)

    @property
    def formula(self) -> str:
        """The reduced formula; empty for text that was no crystal."""
        if self.generated is not None and self.generated.formula:
            return self.generated.formula
        return "" if self.crystal is None else reduced_formula(self.crystal)

    @property
    def chemical_system(self) -> str:
        """Its elements, "Fe-Li-O"; empty for text that was no crystal."""
        return "" if self.crystal is None else chemical_system(self.crystal)

    @property
    def energy_above_hull_ev_per_atom(self) -> float | None:
        """Of the relaxed crystal, by the campaign's reference; None before it was scored."""
        return None if self.hull_distance is None else self.hull_distance.energy_above_hull_ev_per_atom

    @property
    def cif(self) -> str:
        """The crystal as it is now, as CIF text with every site; empty where there is none."""
        from crystalmesh_common.crystal.text import crystal_to_cif  # noqa: PLC0415 -- few want the text

        return "" if self.crystal is None else crystal_to_cif(self.crystal)

    def known(self, name: str) -> str:
        """What is known of a property, for people; empty where nothing is."""
        value = self.properties.get(name)
        if value is not None:
            return value.rounded
        above = self.energy_above_hull_ev_per_atom
        if name == "energy_above_hull_ev_per_atom" and above is not None:
            return f"{round(above, 4) + 0.0:g}"
        return ""

    def to_pymatgen(self) -> Structure | None:
        """The crystal as it is now as a pymatgen Structure; None where there is none."""
        if self.crystal is None:
            return None
        from crystalmesh_common.crystal.pymatgen_codec import to_structure  # noqa: PLC0415 -- heavy

        return to_structure(self.crystal)

    def to_ase(self) -> Atoms | None:
        """The crystal as it is now as ASE Atoms; None where there is none."""
        if self.crystal is None:
            return None
        from crystalmesh_common.crystal.ase_codec import to_atoms  # noqa: PLC0415 -- heavy

        return to_atoms(self.crystal)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; `crystal` is the one as it is now."""
        known = fields_form(replace(self, relaxation=None))
        return {
            **known,
            "formula": self.formula,
            "relaxation": None if self.relaxation is None else _relaxation_form(self.relaxation),
            "hull_distance": None if self.hull_distance is None else _hull_form(self.hull_distance),
            "crystal": None if self.crystal is None else crystal_form(self.crystal),
            "cif": self.cif,
        }

    def _repr_html_(self) -> str:
        rows = [("candidate", self.id), ("formula", self.formula), ("state", self.state.replace("_", " "))]
        if self.rank:
            rows.append(("rank", f"{self.rank}{', on the Pareto front' if self.on_pareto_front else ''}"))
        rows += [(SHORT_NAMES.get(name, name), str(value)) for name, value in self.properties.items()]
        if self.hull_distance is not None:
            rows.append(("reference", self.hull_distance.reference.name))
        if self.target_fit is not None:
            rows.append(("score", f"{self.target_fit.score:.3f}"))
            rows += [("misses", miss) for miss in self.target_fit.misses]
        if self.rejection is not None:
            rows.append(("dropped", str(self.rejection)))
        if self.starting_material is not None:
            rows.append(("from", str(self.starting_material)))
        if self.generated is not None:
            rows.append(("by", f"{self.generated.origin}, seed {self.generated.origin.seed}"))
        table = html_table(*rows)
        if self.crystal is None:
            return table
        from crystalmesh_client.plots import crystal_picture as pictures  # noqa: PLC0415 -- seldom

        shown = pictures.conventional_cell_of(self.crystal)
        picture = pictures.crystal_picture(shown.cell, shown.numbers, shown.frac_coords)
        return (
            "<div style='display:flex;flex-wrap:wrap;gap:1em'>"
            f"<div style='flex:none'>{picture}</div><div>{table}</div></div>"
        )


def campaign_candidate_from(message: campaign_candidate_pb2.CampaignCandidate) -> CampaignCandidate:
    """The typed form of a message; InvalidCrystalError where its arrays do not fit together."""
    made = candidate_from(message.generated, "", 0) if message.HasField("generated") else None
    relaxed = made is not None and message.HasField("relaxation")
    relaxation = relaxation_from(message.relaxation, made.crystal) if made and relaxed else None
    screened = made is not None and message.HasField("screening")
    has_fit = message.HasField("target_fit")
    return CampaignCandidate(
        id=message.id,
        campaign_id=message.campaign_id,
        round=message.round,
        state=_STATES.get(message.state, "unspecified"),
        rejection=rejection_from(message.rejection) if message.HasField("rejection") else None,
        starting_material=starting_material_from(message.starting_material)
        if message.HasField("starting_material")
        else None,
        generated=made,
        screening=prediction_from(message.screening, made.crystal) if made and screened else None,
        relaxation=relaxation,
        hull_distance=hull_distance_from(message.hull_distance, Phase("", id=message.id))
        if message.HasField("hull_distance")
        else None,
        properties=values_from(message.properties),
        novelty=novelty_from(message.novelty) if message.HasField("novelty") else None,
        target_fit=target_fit_from(message.target_fit) if has_fit else None,
        rank=message.rank,
        on_pareto_front=message.on_pareto_front,
        models=tuple(map(stage_model_from, message.models)),
        message=message,
    )


def values_from(messages: Sequence[property_pb2.PropertyValue]) -> dict[str, PropertyValue]:
    """The typed form of values, by the names of their properties."""
    return {property_name(each.property): value_from(each) for each in messages}


def starting_material_from(message: campaign_candidate_pb2.StartingMaterial) -> StartingMaterial:
    """The typed form of a message."""
    return StartingMaterial(
        catalog=message.catalog,
        catalog_version=message.catalog_version,
        material_id=message.material_id,
        formula=message.formula,
        similarity=message.similarity if message.HasField("similarity") else None,
    )


def rejection_from(message: campaign_candidate_pb2.CandidateRejection) -> CandidateRejection:
    """The typed form of a message."""
    reason = _REASONS.get(message.reason, "unspecified")
    return CandidateRejection(stage_name(message.stage), reason, message.message)


def novelty_from(message: campaign_candidate_pb2.Novelty) -> Novelty:
    """The typed form of a message."""
    return Novelty(
        new_to_catalog=message.new_to_catalog,
        matched_material_id=message.matched_material_id,
        catalog_version=message.catalog_version,
        first_in_campaign=message.first_in_campaign,
        matched_candidate_id=message.matched_candidate_id,
    )


def target_fit_from(message: campaign_candidate_pb2.TargetFit) -> TargetFit:
    """The typed form of a message."""
    return TargetFit(message.fulfilled, tuple(message.misses), message.score)


def stage_model_from(message: campaign_candidate_pb2.StageModel) -> StageModel:
    """The typed form of a message."""
    return StageModel(stage_name(message.stage), message.model, message.version)


def stage_name(number: int) -> StageName:
    """The name of a stage; "unspecified" for one that this client does not know."""
    return _STAGES.get(number, "unspecified")


def candidate_state_number(name: str) -> campaign_candidate_pb2.CandidateState.ValueType | None:
    """The enum value of a state; None for a name that is none."""
    number = _STATE_NUMBERS.get(name)
    return None if number is None else campaign_candidate_pb2.CandidateState.ValueType(number)


def _relaxation_form(relaxation: Relaxation) -> dict[str, Any]:
    """Without the crystals, which stand beside it."""
    return {
        "converged": relaxation.converged,
        "stop_reason": relaxation.stop_reason,
        "steps": relaxation.steps,
        "initial_energy_ev_per_atom": json_form(relaxation.initial.energy_ev_per_atom),
        "energy_ev_per_atom": json_form(relaxation.energy_ev_per_atom),
        "max_force_ev_per_angstrom": json_form(relaxation.max_force_ev_per_angstrom),
        "max_stress_gpa": json_form(relaxation.max_stress_gpa),
        "seconds": relaxation.seconds,
        "model": relaxation.final.model,
    }


def _hull_form(distance: HullDistance) -> dict[str, Any]:
    known = fields_form(replace(distance, relaxed_crystal=None))
    return {name: part for name, part in known.items() if name not in {"id", "formula", "relaxed_crystal"}}
