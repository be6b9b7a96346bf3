"""A page with a card for each new crystal: one HTML file that needs no network and runs no script.

All text is escaped, for transitions come from models and ids from callers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from crystalmesh_client.candidates import (
    Candidate,
    GenerationOutcome,
    ParseFailure,
    SampleOrigin,
    short_name,
)
from crystalmesh_client.plots.contact_sheet_style import STYLE
from crystalmesh_client.plots.crystal_picture import conventional_cell_of, crystal_picture
from crystalmesh_client.plots.markup import counted, escaped, formula, space_group
from crystalmesh_client.results import Failed
from crystalmesh_common.crystal.structure import Crystal, cell_parameters

_MOST_CARDS = 400
_MOST_FAILURES = 100
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def contact_sheet(
    outcomes: Sequence[GenerationOutcome | Failed],
    *,
    title: str,
    asked: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> str:
    """The page about what became of samples.

    `asked` says in words, by name, what was asked for. `files` are the CIF files by candidate id, relative
    to the page. Beyond 400 candidates the valid ones that are the first of their kind have a card each.
    """
    candidates = sorted(
        (each for each in outcomes if isinstance(each, Candidate)),
        key=lambda each: (each.prompt_id, each.sample_index),
    )
    shown = candidates
    if len(candidates) > _MOST_CARDS:
        shown = [each for each in candidates if each.is_valid and not each.duplicate_of][:_MOST_CARDS]
    cards = "".join(_card(each, (files or {}).get(each.id)) for each in shown)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escaped(title)}</h1>{_asked(asked or {})}{_summary(outcomes, len(shown))}</header>"
        f"<main>{cards}</main>{_no_crystals(outcomes)}</body></html>\n"
    )


def _asked(asked: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in asked.items())
    return f'<dl class="asked">{items}</dl>' if items else ""


def _summary(outcomes: Sequence[GenerationOutcome | Failed], shown: int) -> str:
    """How many there are of each kind, and boxes that hide some: plain CSS does it."""
    candidates = [each for each in outcomes if isinstance(each, Candidate)]
    invalid = sum(not each.is_valid for each in candidates)
    duplicates = sum(bool(each.duplicate_of) for each in candidates)
    counts = [counted(len(candidates), "crystal")]
    if len(outcomes) > len(candidates):
        counts.append(f"{counted(len(outcomes) - len(candidates), 'sample')} without")
    if shown < len(candidates):
        counts.append(f"{shown} of them shown")
    boxes = "".join(
        f'<label><input type="checkbox" id="hide-{kind}">hide {count} {kind}</label>'
        for kind, count in (("invalid", invalid), ("duplicate", duplicates))
        if count
    )
    return f'<p class="summary">{" · ".join(counts)}{boxes}</p>'


def _card(candidate: Candidate, file: str | None) -> str:
    drawn = (
        conventional_cell_of(candidate.crystal) if candidate.validity.structure_valid else candidate.crystal
    )
    kinds = ["card"]
    kinds += ["invalid"] * (not candidate.is_valid) + ["duplicate"] * bool(candidate.duplicate_of)
    link = "" if file is None else f'<a href="{escaped(quote(file))}" download>CIF</a>'
    return (
        f'<article class="{" ".join(kinds)}" id="{escaped(candidate.id)}">'
        f"{crystal_picture(drawn.cell, drawn.numbers, drawn.frac_coords)}"
        f"<h2><span>{formula(candidate.formula)}</span><small>{escaped(candidate.id)}</small></h2>"
        f'<p class="symmetry">{space_group(candidate.space_group_number)}</p>'
        f"{_badges(candidate)}{_facts(candidate, drawn)}{_transition(candidate)}"
        f"<footer><span>{_origin(candidate.origin)}</span>{link}</footer></article>"
    )


def _badges(candidate: Candidate) -> str:
    badges = [("good", "valid")] if candidate.is_valid else []
    badges += [("bad", objection) for objection in candidate.validity.objections]
    if candidate.symmetrized:
        badges.append(("", "symmetrized"))
    marks = [f'<li class="{kind}">{escaped(words)}</li>' for kind, words in badges]
    if candidate.duplicate_of:
        link = f'<a href="#{escaped(quote(candidate.duplicate_of))}">{escaped(candidate.duplicate_of)}</a>'
        marks.append(f"<li>same as {link}</li>")
    return f'<ul class="badges">{"".join(marks)}</ul>'


def _facts(candidate: Candidate, drawn: Crystal) -> str:
    rows = [(short_name(name), value.rounded) for name, value in candidate.predicted.items()]
    rows += list(_geometry(candidate, drawn))
    cells = "".join(f"<tr><th>{escaped(name)}</th><td>{escaped(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _geometry(candidate: Candidate, drawn: Crystal) -> Iterator[tuple[str, str]]:
    lengths, angles = cell_parameters(drawn.cell)
    yield "a, b, c Å", ", ".join(f"{length:.2f}" for length in lengths)
    yield "α, β, γ °", ", ".join(f"{angle:.1f}" for angle in angles)
    several = len(drawn) != len(candidate.crystal)
    yield "atoms", f"{len(drawn)} drawn, {len(candidate.crystal)} as made" if several else str(len(drawn))
    yield "closest Å", f"{candidate.validity.shortest_distance_angstrom:.2f}"


def _transition(candidate: Candidate) -> str:
    reference = candidate.origin.reference_id
    origin = f"from {escaped(reference)}" if reference else "from nothing known"
    if candidate.transition is None:
        return f'<p class="from">{origin}</p>'
    cut = " …" if candidate.transition.truncated else ""
    # Tall texts scroll; a box that scrolls must be reachable by keyboard.
    text = f'<div class="transition" tabindex="0">{escaped(candidate.transition.text)}{cut}</div>'
    return f'<p class="from">{origin}</p>{text}'


def _origin(origin: SampleOrigin) -> str:
    parts = [str(origin)]
    if origin.language_model is not None:
        parts.append(f"T {origin.language_model.temperature:g}")
    elif origin.ionic_substitution is not None:
        parts.append(f"p {origin.ionic_substitution.probability:.2g}")
    return escaped(" · ".join([*parts, f"seed {origin.seed}"]))


def _no_crystals(outcomes: Sequence[GenerationOutcome | Failed]) -> str:
    """What became of the samples that are no crystals, one a line."""
    lines = []
    for each in outcomes:
        if isinstance(each, ParseFailure):
            lines.append((each.id, f"{each.kind.replace('_', ' ')}: {each.message}", each.alx))
        elif isinstance(each, Failed):
            lines.append((each.id, f"{each.error.reason}: {each.error}", ""))
    if not lines:
        return ""
    items = "".join(
        f"<li><b>{escaped(name)}</b> {escaped(what)}{f'<pre>{escaped(text)}</pre>' if text else ''}</li>"
        for name, what, text in lines[:_MOST_FAILURES]
    )
    more = len(lines) - _MOST_FAILURES
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    head = counted(len(lines), "sample")
    return f'<section class="none"><h2>{head} without a crystal</h2><ul>{items}</ul>{rest}</section>'
