"""What came of a sample: dataclasses to protobuf."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.crystal.v1.property_pb2 import PropertyValue, ValueSource
from crystalmesh.crystal.v1.validity_pb2 import Validity
from crystalmesh.generation.v1 import candidate_pb2, transition_pb2
from crystalmesh.generation.v1.candidate_pb2 import (
    Candidate,
    LanguageModelOrigin,
    ParseFailure,
    SampleOrigin,
    Substitution,
    SubstitutionOrigin,
)
from crystalmesh.generation.v1.generation_pb2 import GenerateResponse
from crystalmesh.generation.v1.transition_pb2 import Transition
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_generation.convert_cards import property_number
from crystalmesh_generation.language.alx import AlxFault
from crystalmesh_generation.samples.judging import Judgement
from crystalmesh_generation.samples.proposals import Author, NoCrystal, Origin, Proposal, SubstitutedBy, Told
from crystalmesh_generation.samples.symmetrizing import cif_text
from crystalmesh_generation.serving.models import ModelFacts

UNITS: Mapping[str, str] = {
    "formation_energy_ev_per_atom": "eV/atom",
    "band_gap_ev": "eV",
    "energy_above_hull_ev_per_atom": "eV/atom",
    "bulk_modulus_gpa": "GPa",
    "shear_modulus_gpa": "GPa",
    "magnetization_mu_b_per_cubic_angstrom": "μB/Å³",
    "density_g_per_cubic_centimeter": "g/cm³",
    "atoms_in_cell": "",
}
_FAULTS = {
    AlxFault.MALFORMED: candidate_pb2.PARSE_FAILURE_KIND_MALFORMED,
    AlxFault.TRUNCATED: candidate_pb2.PARSE_FAILURE_KIND_TRUNCATED,
    AlxFault.IMPOSSIBLE_CELL: candidate_pb2.PARSE_FAILURE_KIND_IMPOSSIBLE_CELL,
}
_AUTHORS = {
    Author.MODEL: transition_pb2.TRANSITION_ORIGIN_MODEL,
    Author.CALLER: transition_pb2.TRANSITION_ORIGIN_CALLER,
    Author.SUBSTITUTION: transition_pb2.TRANSITION_ORIGIN_SUBSTITUTION,
}


def candidate_response(proposal: Proposal, crystal_id: str, model: ModelFacts | None) -> GenerateResponse:
    """A proposal as the outcome of its sample; `model` is whose regression head spoke."""
    crystal = replace(proposal.crystal, id=crystal_id)
    return GenerateResponse(
        candidate=Candidate(
            crystal=crystal_to_proto(crystal),
            cif_text=cif_text(crystal),
            alx_text=proposal.alx_text,
            transition=None if proposal.transition is None else transition_message(proposal.transition),
            origin=_origin(proposal.origin),
            log_probability=proposal.log_probability,
            predicted_properties=[] if model is None else _values(proposal.values, model),
            validity=_validity(proposal.judgement),
            symmetrized=proposal.symmetrized,
        )
    )


def failure_response(failure: NoCrystal) -> GenerateResponse:
    """Text that is no crystal as the outcome of its sample."""
    return GenerateResponse(
        parse_failure=ParseFailure(
            kind=_FAULTS[failure.fault],
            message=failure.message,
            alx_text=failure.alx_text,
            transition=None if failure.transition is None else transition_message(failure.transition),
            origin=_origin(failure.origin),
        )
    )


def transition_message(told: Told) -> Transition:
    return Transition(
        text=told.text,
        origin=_AUTHORS[told.author],
        reference_id=told.reference_id,
        model=told.model,
        log_probability=told.log_probability,
        truncated=told.truncated,
    )


def _origin(origin: Origin) -> SampleOrigin:
    message = SampleOrigin(reference_id=origin.reference_id, seed=origin.seed)
    by = origin.by
    if isinstance(by, SubstitutedBy):
        message.ionic_substitution.CopyFrom(
            SubstitutionOrigin(
                substitutions=[
                    Substitution(from_atomic_number=before, to_atomic_number=after)
                    for before, after in by.substitutions
                ],
                table_version=by.table_version,
                probability=by.probability,
            )
        )
    else:
        message.language_model.CopyFrom(
            LanguageModelOrigin(
                model=by.model,
                model_version=by.version,
                temperature=by.temperature,
                top_p=by.top_p,
                constrained=by.constrained,
                prompt_tokens=by.prompt_words,
                completion_tokens=by.words,
            )
        )
    return message


def _values(values: Mapping[str, float], model: ModelFacts) -> list[PropertyValue]:
    source = ValueSource(kind=property_pb2.SOURCE_KIND_PREDICTION, name=model.name, version=model.version)
    return [
        PropertyValue(property=property_number(name), value=values[name], unit=UNITS[name], source=source)
        for name in UNITS
        if math.isfinite(values.get(name, math.nan))
    ]


def _validity(judgement: Judgement) -> Validity:
    validity, crystal = judgement.validity, judgement.crystal
    return Validity(
        structure_valid=validity.structural,
        composition_valid=validity.compositional,
        shortest_distance_angstrom=validity.shortest_distance_angstrom,
        volume_cubic_angstrom=crystal.volume,
        formula=reduced_formula(crystal),
        space_group_number=judgement.space_group_number,
        missed_target_fields=judgement.missed,
    )
