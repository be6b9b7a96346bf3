"""The whole provenance of a candidate, folded: what made it, with what, and every number on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from crystalmesh.agent.v1 import campaign_candidate_pb2
from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.generation.v1 import candidate_pb2, transition_pb2
from crystalmesh.relaxation.v1 import relaxation_pb2
from crystalmesh.stability.v1 import hull_pb2
from crystalmesh_client.plots.markup import counted, escaped, formula
from crystalmesh_client.predictions import predicted_value_from
from crystalmesh_client.reports.findings import Finding
from crystalmesh_client.reports.funnel import stage_text
from crystalmesh_client.reports.wording import (
    duration_text,
    enum_words,
    number,
    property_title,
    property_unit,
    rounded,
    rows,
    seconds_of,
    source_text,
)
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.text import crystal_to_cif

_WRITERS: Mapping[int, str] = {
    transition_pb2.TRANSITION_ORIGIN_MODEL: "written by the model",
    transition_pb2.TRANSITION_ORIGIN_CALLER: "given by the caller",
    transition_pb2.TRANSITION_ORIGIN_SUBSTITUTION: "a rule of ionic substitution",
}


def provenance(finding: Finding) -> str:
    """All evidence for a candidate behind a line that opens."""
    message = finding.message
    groups = (
        ("Made", _made(message)),
        ("Started from", _start(message)),
        ("Checks of the text", _validity(message.generated)),
        ("Screened before relaxation", _screening(message)),
        ("Relaxed", _relaxation(message)),
        ("Placed against the hull", _stability(message)),
        ("Compared", _novelty(message)),
        ("Models by stage", _models(message)),
    )
    shown = "".join(f"<div><h4>{title}</h4>{body}</div>" for title, body in groups if body)
    texts = "".join(f"<h4>{title}</h4><pre>{escaped(text)}</pre>" for title, text in _texts(finding) if text)
    return (
        "<details><summary>Provenance and CIF</summary>"
        f'<div class="provenance">{shown}</div>{texts}</details>'
    )


def _made(message: campaign_candidate_pb2.CampaignCandidate) -> str:
    origin = message.generated.origin
    log_probability = message.generated.log_probability
    pairs = [
        ("Candidate", f"<code>{escaped(message.id)}</code>"),
        ("Round", str(message.round) if message.round else ""),
    ]
    if origin.WhichOneof("generator") == "language_model":
        pairs += _written(origin.language_model)
    elif origin.WhichOneof("generator") == "ionic_substitution":
        pairs += _substituted(origin.ionic_substitution)
    pairs += [
        ("Seed", str(origin.seed)),
        ("Reference", escaped(origin.reference_id)),
        ("Log probability", number(log_probability) if message.generated.HasField("log_probability") else ""),
        ("Moved", "to the symmetry asked for" if message.generated.symmetrized else ""),
        ("Transition", _transition(message.generated)),
    ]
    return rows(*pairs)


def _written(model: candidate_pb2.LanguageModelOrigin) -> list[tuple[str, str]]:
    freely = "well-formed crystals only" if model.constrained else "freely"
    tokens = f"{model.prompt_tokens:,} read, {model.completion_tokens:,} written"
    return [
        ("Generator", "language model"),
        ("Model", escaped(f"{model.model} {model.model_version}".strip())),
        ("Sampling", f"temperature {model.temperature:g}, top_p {model.top_p:g}, {freely}"),
        ("Tokens", tokens),
    ]


def _substituted(origin: candidate_pb2.SubstitutionOrigin) -> list[tuple[str, str]]:
    replaced = ", ".join(
        f"{symbol_of(each.from_atomic_number)} → {symbol_of(each.to_atomic_number)}"
        for each in origin.substitutions
    )
    return [
        ("Generator", "ionic substitution"),
        ("Substituted", replaced),
        ("Probability", f"{origin.probability:.3g}"),
        ("Table", escaped(origin.table_version)),
    ]


def _transition(generated: candidate_pb2.Candidate) -> str:
    if not generated.HasField("transition"):
        return ""
    transition = generated.transition
    parts = [_WRITERS.get(transition.origin, "writer not stated"), transition.model]
    if transition.HasField("log_probability"):
        parts.append(f"log probability {number(transition.log_probability)}")
    if transition.truncated:
        parts.append("cut at the longest allowed")
    return escaped(", ".join(filter(None, parts)))


def _start(message: campaign_candidate_pb2.CampaignCandidate) -> str:
    if not message.HasField("starting_material"):
        return ""
    start = message.starting_material
    return rows(
        ("Material", f"{formula(start.formula)} <code>{escaped(start.material_id)}</code>"),
        ("Catalog", escaped(f"{start.catalog} {start.catalog_version}".strip())),
        ("Similarity", f"{start.similarity:.3f}" if start.HasField("similarity") else ""),
    )


def _validity(generated: candidate_pb2.Candidate) -> str:
    if not generated.HasField("validity"):
        return ""
    validity = generated.validity
    return rows(
        ("Structure", "possible" if validity.structure_valid else "impossible"),
        ("Composition", "charges can balance" if validity.composition_valid else "charges cannot balance"),
        ("Closest atoms", f"{validity.shortest_distance_angstrom:.3f} Å"),
        ("Cell volume", f"{validity.volume_cubic_angstrom:.2f} Å³"),
        ("Space group", str(validity.space_group_number or "")),
        ("Misses", escaped(", ".join(validity.missed_target_fields).replace("_", " "))),
    )


def _screening(message: campaign_candidate_pb2.CampaignCandidate) -> str:
    if not message.HasField("screening"):
        return ""
    warnings = [escaped(each.message) for each in message.screening.domain_warnings]
    return rows(*_values(message.screening.values), ("Unlike training data", "<br>".join(warnings)))


def _values(values: Iterable[property_pb2.PropertyValue]) -> Iterator[tuple[str, str]]:
    for value in map(predicted_value_from, values):
        told = f"{rounded(value)} {property_unit(value.name) or value.unit}".strip()
        source = source_text(value)
        yield property_title(value.name).capitalize(), escaped(f"{told} ({source})" if source else told)


def _relaxation(message: campaign_candidate_pb2.CampaignCandidate) -> str:
    if not message.HasField("relaxation"):
        return ""
    relaxation = message.relaxation
    before, after = relaxation.initial, relaxation.final
    energies = ""
    if relaxation.HasField("initial") and relaxation.HasField("final"):
        energies = f"{number(before.energy_ev_per_atom)} → {number(after.energy_ev_per_atom)} eV/atom"
    reason = enum_words(_stop_reason(relaxation.stop_reason), "STOP_REASON_")
    ended = "yes" if relaxation.converged else f"no: {reason}"
    took = duration_text(seconds_of(relaxation.wall_time)) if relaxation.HasField("wall_time") else ""
    return rows(
        ("Converged", escaped(ended)),
        ("Steps", f"{relaxation.steps:,}"),
        ("Energy", energies),
        ("Largest force", f"{relaxation.max_force_ev_per_angstrom:.3f} eV/Å"),
        ("Largest stress", f"{relaxation.max_stress_gpa:.3f} GPa"),
        ("Potential", escaped(after.model)),
        ("Time", took),
    )


def _stop_reason(reason: int) -> str:
    known = reason in relaxation_pb2.StopReason.values()
    return relaxation_pb2.StopReason.Name(relaxation_pb2.StopReason.ValueType(reason)) if known else "unknown"


def _stability(message: campaign_candidate_pb2.CampaignCandidate) -> str:
    if not message.HasField("hull_distance"):
        return ""
    hull = message.hull_distance
    return rows(
        ("Above the hull", f"{number(hull.energy_above_hull_ev_per_atom, 4)} eV/atom"),
        ("Formation energy", f"{number(hull.formation_energy_ev_per_atom, 5)} eV/atom"),
        ("Products", _products(hull.decomposition)),
        ("Reference", _reference(hull)),
        ("Competing entries", f"{hull.competing_entry_count:,}"),
        ("Potential", escaped(hull.model)),
        ("One potential for all", "yes" if hull.self_consistent else "no"),
    )


def _products(products: Iterable[hull_pb2.DecompositionProduct]) -> str:
    return ", ".join(
        f"{each.atom_fraction:.3f} {formula(each.formula)} <code>{escaped(each.entry_id)}</code>"
        for each in products
    )


def _reference(hull: hull_pb2.HullDistance) -> str:
    reference = hull.reference
    sha256 = f" <code>{escaped(reference.entries_sha256[:12])}</code>" if reference.entries_sha256 else ""
    words = ", ".join(filter(None, (reference.name, reference.energy_scheme)))
    return f"{escaped(words)}, {counted(reference.entry_count, 'entry').replace('entrys', 'entries')}{sha256}"


def _novelty(message: campaign_candidate_pb2.CampaignCandidate) -> str:
    if not message.HasField("novelty"):
        return ""
    novelty = message.novelty
    known, earlier = novelty.matched_material_id, novelty.matched_candidate_id
    return rows(
        ("With the catalog", "new" if novelty.new_to_catalog else f"is {escaped(known)}"),
        ("Version", escaped(novelty.catalog_version)),
        ("In the campaign", "first of its kind" if novelty.first_in_campaign else f"is {escaped(earlier)}"),
    )


def _models(message: campaign_candidate_pb2.CampaignCandidate) -> str:
    return rows(
        *(
            (stage_text(each.stage).capitalize(), escaped(f"{each.model} {each.version}".strip()))
            for each in message.models
        )
    )


def _texts(finding: Finding) -> Iterator[tuple[str, str]]:
    generated = finding.message.generated
    if finding.is_relaxed and finding.crystal is not None:
        named = replace(finding.crystal, id=finding.message.id)
        yield "CIF of the relaxed crystal (one click selects all of it)", crystal_to_cif(named)
    elif generated.cif_text:
        yield "CIF of the crystal as generated (one click selects all of it)", generated.cif_text
    yield "Crystal as text: lengths, angles, then element and coordinates of each atom", generated.alx_text
    if finding.message.HasField("rejection"):
        yield "Why it was dropped", finding.message.rejection.message
