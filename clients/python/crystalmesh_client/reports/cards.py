"""The best candidates as cards, and all others as a line that opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crystalmesh.agent.v1 import campaign_candidate_pb2
from crystalmesh.crystal.v1 import target_pb2
from crystalmesh_client.plots.crystal_picture import conventional_cell_of, crystal_picture
from crystalmesh_client.plots.markup import counted, escaped, formula, space_group
from crystalmesh_client.properties import property_name
from crystalmesh_client.reports.findings import Finding
from crystalmesh_client.reports.funnel import reason_text, stage_text
from crystalmesh_client.reports.provenance import provenance
from crystalmesh_client.reports.wording import (
    HULL,
    badge,
    bounds_text,
    property_title,
    property_unit,
    rounded,
    signed_mev,
    source_text,
)
from crystalmesh_common.crystal.structure import cell_parameters

_PICTURE_WIDTH, _PICTURE_HEIGHT = 220, 205
_ON_HULL_EV_PER_ATOM = 1e-6


def card(finding: Finding, target: target_pb2.Target) -> str:
    """Everything of a candidate at a glance, with its picture; the rest folded."""
    return (
        f'<article class="card" id="{finding.anchor}">{_head(finding)}'
        f'<div class="glance"><figure>{_picture(finding)}</figure>'
        f"<div>{_values(finding, target)}{_misses(finding)}</div></div>"
        f"{_grounds(finding)}{_origin(finding)}{provenance(finding)}</article>"
    )


def folded_card(finding: Finding, target: target_pb2.Target) -> str:
    """The same without the picture, behind one line."""
    hull = finding.hull
    distance = "" if hull is None else f"{signed_mev(hull.energy_above_hull_ev_per_atom)} meV/atom"
    return (
        f'<details class="more" id="{finding.anchor}"><summary><b>{finding.rank or "–"}</b>'
        f"<span>{formula(finding.formula)}</span><span>{space_group(finding.space_group_number)}</span>"
        f"<span>{distance}</span><span>{_state(finding)}</span></summary>"
        f"<div>{_badges(finding)}{_values(finding, target)}{_misses(finding)}{_grounds(finding)}"
        f"{_origin(finding)}{provenance(finding)}</div>"
        "</details>"
    )


def _head(finding: Finding) -> str:
    score = (
        f'<span class="score">score {finding.message.target_fit.score:.3f}</span>'
        if finding.message.HasField("target_fit")
        else ""
    )
    rank = f'<b class="rank">{finding.rank}</b>' if finding.rank else ""
    return (
        f"<header>{rank}<h3>{formula(finding.formula)}</h3>"
        f'<span class="symmetry">{space_group(finding.space_group_number)}</span>{score}</header>'
        f"{_badges(finding)}"
    )


def _badges(finding: Finding) -> str:
    return f'<ul class="badges">{"".join(_marks(finding))}</ul>'


def _marks(finding: Finding) -> Iterator[str]:
    message = finding.message
    if finding.is_hit:
        yield badge("hit", "good")
    if message.on_pareto_front:
        yield badge("Pareto front")
    if message.HasField("novelty"):
        novelty = message.novelty
        yield (
            badge("new to the catalog", "good")
            if novelty.new_to_catalog
            else badge(f"known: {novelty.matched_material_id}", "bad")
        )
        if not novelty.first_in_campaign:
            yield badge(f"same as {novelty.matched_candidate_id}", "bad")
    if message.HasField("relaxation") and not message.relaxation.converged:
        yield badge("relaxation did not converge", "bad")
    if message.screening.out_of_domain:
        yield badge("unlike the training data", "bad")
    if message.HasField("rejection"):
        rejection = message.rejection
        yield badge(f"dropped in {stage_text(rejection.stage)}: {reason_text(rejection.reason)}", "bad")


def _state(finding: Finding) -> str:
    if finding.message.HasField("rejection"):
        return escaped(reason_text(finding.message.rejection.reason))
    in_progress = finding.message.state == campaign_candidate_pb2.CANDIDATE_STATE_IN_PROGRESS
    return "hit" if finding.is_hit else "on its way" if in_progress else ""


def _picture(finding: Finding) -> str:
    if finding.crystal is None:
        return '<p class="soft">no crystal to draw</p>'
    drawn = conventional_cell_of(finding.crystal)
    picture = crystal_picture(
        drawn.cell, drawn.numbers, drawn.frac_coords, width=_PICTURE_WIDTH, height=_PICTURE_HEIGHT
    )
    lengths, angles = cell_parameters(drawn.cell)
    edges = ", ".join(f"{length:.2f}" for length in lengths)
    corners = ", ".join(f"{angle:.0f}" for angle in angles)
    made = "relaxed" if finding.is_relaxed else "as generated"
    size = counted(len(drawn), "atom")
    return (
        f"{picture}<figcaption>{made}, {size}<br><i>a</i>, <i>b</i>, <i>c</i> = {edges} Å<br>"
        f"α, β, γ = {corners}°</figcaption>"
    )


def _values(finding: Finding, target: target_pb2.Target) -> str:
    """What is known, those first that the target asks for."""
    asked = {property_name(each.property): each for each in target.properties}
    names = dict.fromkeys([HULL, *asked, *finding.values])
    body = "".join(_value_row(finding, name, asked.get(name)) for name in names if name in finding.values)
    return f'<table class="values">{body}</table>' if body else '<p class="soft">no values yet</p>'


def _value_row(finding: Finding, name: str, asked: target_pb2.PropertyRange | None) -> str:
    value = finding.values[name]
    shown, unit, scale = rounded(value), property_unit(name) or value.unit, 1.0
    if name == HULL:
        shown, unit, scale = signed_mev(value.value), "meV/atom", 1000.0
    wanted = "" if asked is None else f"<small>asked: {escaped(bounds_text(asked, scale))}</small>"
    return (
        f"<tr><th>{escaped(property_title(name))}{wanted}</th>"
        f"<td>{escaped(shown)} <small>{escaped(unit)}</small></td></tr>"
    )


def _grounds(finding: Finding) -> str:
    """What the values rest on: the decomposition, and the source of each."""
    sources: dict[str, list[str]] = {}
    for name, value in finding.values.items():
        source = "" if name == HULL else source_text(value)
        if source:
            sources.setdefault(source, []).append(property_title(name))
    told = "; ".join(f"{', '.join(names)}: {source}" for source, names in sources.items())
    sentences = [_decomposition(finding), f"<small>{escaped(told)}</small>" if told else ""]
    return f'<p class="grounds">{"<br>".join(filter(None, sentences))}</p>'


def _decomposition(finding: Finding) -> str:
    hull = finding.hull
    if hull is None:
        return ""
    products = " + ".join(f"{part.atom_fraction:.2f} {formula(part.formula)}" for part in hull.decomposition)
    distance = hull.energy_above_hull_ev_per_atom
    words = f"Would decompose into {products}" if products else ""
    if len(hull.decomposition) == 1:
        words = f"Would turn into {formula(hull.decomposition[0].formula)} of another structure"
    if abs(distance) <= _ON_HULL_EV_PER_ATOM:
        words = "On the hull: it would not decompose"
    elif distance < 0:
        words = f"Below the hull{f' of {products}' if products else ''}: a new stable phase"
    count = hull.competing_entry_count
    entries = "1 competing entry" if count == 1 else f"{count:,} competing entries"
    by = f", energy by {hull.model}" if hull.model else ", energy given"
    return f"{words} <small>({escaped(f'{entries} of {hull.reference.name}{by}')})</small>"


def _misses(finding: Finding) -> str:
    misses = finding.message.target_fit.misses
    if not misses:
        return ""
    return f'<ul class="misses">{"".join(f"<li>{escaped(miss)}</li>" for miss in misses)}</ul>'


def _origin(finding: Finding) -> str:
    """What it started from, and the way from there in words."""
    message = finding.message
    start, transition = message.starting_material, message.generated.transition
    words = "Started from nothing known"
    if message.HasField("starting_material"):
        place = f"catalog {start.catalog}" if start.catalog else "an earlier candidate"
        near = f", similarity {start.similarity:.2f}" if start.HasField("similarity") else ""
        words = (
            f"Started from <b>{formula(start.formula)}</b> "
            f"<small>{escaped(start.material_id)}, {escaped(place)}{near}</small>"
        )
    elif message.generated.origin.reference_id:
        words = f"Started from <b>{escaped(message.generated.origin.reference_id)}</b>"
    if not transition.text:
        return f'<p class="from">{words}</p>'
    cut = " …" if transition.truncated else ""
    # Tall texts scroll; a box that scrolls must be reachable by keyboard.
    return (
        f'<p class="from">{words}</p>'
        f'<blockquote class="transition" tabindex="0">{escaped(transition.text)}{cut}</blockquote>'
    )


def ranking_table(findings: Sequence[Finding], target: target_pb2.Target) -> str:
    """A row for each ranked candidate with its values."""
    ranked = [finding for finding in findings if finding.rank]
    names = [property_name(each.property) for each in target.properties]
    names += [name for finding in ranked for name in finding.values]
    names = [name for name in dict.fromkeys(names) if name != HULL]
    units = {name: property_unit(name) for name in names}
    head = "".join(
        f"<th>{escaped(property_title(name))}<small>{escaped(units[name])}</small></th>" for name in names
    )
    body = "".join(_ranking_row(finding, names) for finding in ranked)
    return (
        '<div class="wide"><table class="ranking"><thead><tr><th>Rank</th><th>Formula</th>'
        f"<th>Space group</th><th>above hull<small>meV/atom</small></th>{head}<th>Score</th>"
        f"<th>Started from</th><th></th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def _ranking_row(finding: Finding, names: Sequence[str]) -> str:
    hull = "" if finding.hull is None else signed_mev(finding.hull.energy_above_hull_ev_per_atom)
    values = "".join(
        f"<td>{escaped(rounded(finding.values[name])) if name in finding.values else '–'}</td>"
        for name in names
    )
    marks = (("hit", finding.is_hit), ("Pareto front", finding.message.on_pareto_front))
    shown = ", ".join(words for words, holds in marks if holds)
    return (
        f'<tr><td>{finding.rank}</td><td><a href="#{finding.anchor}">{formula(finding.formula)}</a></td>'
        f"<td>{space_group(finding.space_group_number)}</td><td>{hull}</td>{values}"
        f"<td>{finding.message.target_fit.score:.3f}</td>"
        f"<td>{formula(finding.message.starting_material.formula)}</td><td>{shown}</td></tr>"
    )
