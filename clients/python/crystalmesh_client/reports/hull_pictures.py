"""The hulls of the chemical systems in which candidates lie, with the candidates on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from crystalmesh_client.hulls import HullDistance, PhaseDiagram
from crystalmesh_client.plots.figures import with_subscripts
from crystalmesh_client.plots.hulls import plot_hull
from crystalmesh_client.plots.markup import counted, escaped
from crystalmesh_client.reports.findings import Finding
from crystalmesh_client.reports.inline_svg import inline_svg
from crystalmesh_common.crystal.composition import reduced_formula

_DRAWABLE = (2, 3)
_MOST_PICTURES = 12
_MOST_ON_ONE = 10


def hull_figures(diagrams: Mapping[str, PhaseDiagram], findings: Sequence[Finding]) -> list[str]:
    """A figure for each system of two or three elements that holds a ranked candidate, best ones first."""
    figures = []
    for number, diagram in enumerate(_wanted(diagrams, findings)):
        inside = _inside(diagram, findings)
        scored = [_named(finding) for finding in inside[:_MOST_ON_ONE]]
        picture = plot_hull(_plain(diagram), [each for each in scored if each is not None])
        label = f"convex hull of {diagram.chemical_system}"
        svg = inline_svg(picture, label, name=f"hull{number}")
        figures.append(f"<figure>{svg}<figcaption>{_caption(diagram, len(inside))}</figcaption></figure>")
    return figures


def systems_not_drawn(diagrams: Mapping[str, PhaseDiagram], findings: Sequence[Finding]) -> list[str]:
    """Chemical systems of hits without a picture: of too many elements, or no diagram was given."""
    drawn = [set(diagram.elements) for diagram in _wanted(diagrams, findings)]
    systems = {
        "-".join(sorted(finding.elements))
        for finding in findings
        if finding.is_hit and not any(finding.elements <= elements for elements in drawn)
    }
    return sorted(systems)


def _wanted(diagrams: Mapping[str, PhaseDiagram], findings: Sequence[Finding]) -> list[PhaseDiagram]:
    drawable = [
        (inside[0].rank, diagram)
        for diagram in diagrams.values()
        if len(diagram.elements) in _DRAWABLE and (inside := _inside(diagram, findings))
    ]
    return [diagram for _, diagram in sorted(drawable, key=lambda pair: pair[0])][:_MOST_PICTURES]


def _inside(diagram: PhaseDiagram, findings: Sequence[Finding]) -> list[Finding]:
    elements = set(diagram.elements)
    return [
        finding
        for finding in findings
        if finding.rank and _is_placed(finding.hull) and finding.elements and finding.elements <= elements
    ]


def _is_placed(hull: HullDistance | None) -> bool:
    return hull is not None and all(
        map(math.isfinite, (hull.energy_above_hull_ev_per_atom, hull.formation_energy_ev_per_atom))
    )


def _named(finding: Finding) -> HullDistance | None:
    """The hull distance under the name that the picture shows."""
    if finding.hull is None or finding.crystal is None:
        return None
    formula = reduced_formula(finding.crystal)  # not what a message says
    return replace(finding.hull, id=f"{finding.rank} {with_subscripts(formula)}", formula=formula)


def _plain(diagram: PhaseDiagram) -> PhaseDiagram:
    """The diagram with a name of its reference that is not taken for a formula of TeX."""
    name = diagram.reference.name.replace("$", "")
    return replace(diagram, reference=replace(diagram.reference, name=name))


def _caption(diagram: PhaseDiagram, inside: int) -> str:
    shown = counted(min(inside, _MOST_ON_ONE), "candidate")
    best = f"the best {shown} of {inside}" if inside > _MOST_ON_ONE else shown
    entries = counted(len(diagram.entries), "entry").replace("entrys", "entries")
    what = "Formation energy over composition" if len(diagram.elements) == 2 else "The hull seen from above"
    return (
        f"<b>{escaped(diagram.chemical_system)}</b>: {what}, at 0 K, {entries} of "
        f"{escaped(diagram.reference.name)} and {best}; names are rank, formula and, in brackets, "
        "meV/atom above the hull."
    )
