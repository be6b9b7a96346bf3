"""Convex hulls of two and of three elements, with the phases that were scored against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from pymatgen.core.composition import Composition

from crystalmesh_client.hulls import HullDistance, PhaseDiagram, PhaseDiagramEntry
from crystalmesh_client.plots.figures import (
    BLUE,
    GREY,
    LABEL_SIZE,
    VERMILION,
    legend_below,
    new_figure,
    plain_axes,
    shortened,
    with_subscripts,
)
from crystalmesh_client.plots.labels import Label, Line, Point, place_labels
from crystalmesh_common.crystal.structure import FloatArray

Phase = PhaseDiagramEntry | HullDistance
Place = Callable[[Phase], Point]

_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
_BINARY_LIMITS = (-0.06, 1.06)
_ABOVE, _BELOW = 90.0, -90.0
_SHOWN_ABOVE_HULL_EV_PER_ATOM = 0.25
"""Entries further above the hull say nothing about it, and squeeze what does."""


def plot_hull(diagram: PhaseDiagram, scored: Sequence[HullDistance] = ()) -> Figure:
    """The hull of two elements as energy over composition, or that of three from above.

    ValueError for another number of elements, and for a phase with an element that is not among them.
    """
    for phase in scored:
        strangers = {str(element) for element in Composition(phase.formula)} - set(diagram.elements)
        if strangers:
            raise ValueError(
                f"{phase.id} holds {', '.join(sorted(strangers))}, not in {diagram.chemical_system}"
            )
    draw = {2: _draw_binary, 3: _draw_ternary}.get(len(diagram.elements))
    if draw is None:
        raise ValueError(
            f"a hull of two or of three elements can be drawn, and {diagram.chemical_system} has"
            f" {len(diagram.elements)}"
        )
    figure = new_figure(6, 5)
    axes = figure.subplots()
    axes.set_title(
        f"{diagram.chemical_system}, reference {diagram.reference.name}", fontsize=LABEL_SIZE, pad=12
    )
    draw(axes, diagram, scored)
    return figure


def _draw_binary(axes: Axes, diagram: PhaseDiagram, scored: Sequence[HullDistance]) -> None:
    first, second = diagram.elements

    def at(phase: Phase) -> Point:
        return float(_fractions(phase.formula, diagram)[1]), phase.formation_energy_ev_per_atom

    lines = _hull_lines(diagram, at)
    axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=1.5))
    points = _mark_phases(axes, diagram, scored, at)
    axes.axhline(0, color=GREY, lw=0.6, zorder=0)
    axes.set_xlim(*_BINARY_LIMITS)
    axes.margins(y=0.14)
    plain_axes(axes, f"$x$ in {first}$_{{1-x}}${second}$_x$", "Formation energy (eV/atom)")
    # Below the hull there is nothing.
    labels = [*_scored_labels(scored, at), *_hull_labels(diagram, at, lambda _: _BELOW)]
    zero = ((_BINARY_LIMITS[0], 0.0), (_BINARY_LIMITS[1], 0.0))
    place_labels(axes, labels, points, [*lines, zero])


def _draw_ternary(axes: Axes, diagram: PhaseDiagram, scored: Sequence[HullDistance]) -> None:
    def at(phase: Phase) -> Point:
        x, y = _fractions(phase.formula, diagram) @ _CORNERS
        return float(x), float(y)

    def outwards(point: Point) -> float:
        x, y = point - _CORNERS.mean(axis=0)
        return float(np.degrees(np.arctan2(y, x)))

    axes.add_patch(Polygon(_CORNERS, closed=True, fill=False, ec="black", lw=1.0))
    lines = _hull_lines(diagram, at)
    axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=0.8))
    points = _mark_phases(axes, diagram, scored, at)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_xlim(-0.1, 1.1)
    axes.set_ylim(-0.08, 0.95)
    labels = [*_scored_labels(scored, at), *_hull_labels(diagram, at, outwards)]
    place_labels(axes, labels, points, lines)


def _hull_lines(diagram: PhaseDiagram, at: Place) -> list[Line]:
    """The edges of all facets, each once."""
    edges = {tuple(sorted(edge)) for facet in diagram.facets for edge in combinations(facet, 2)}
    return [(at(diagram.entries[i]), at(diagram.entries[j])) for i, j in sorted(edges)]


def _mark_phases(axes: Axes, diagram: PhaseDiagram, scored: Sequence[HullDistance], at: Place) -> list[Point]:
    """Mark all phases, and give back where the marks are."""
    corners = set(diagram.stable_entries)
    near = [
        entry
        for entry in diagram.entries
        if entry not in corners and entry.energy_above_hull_ev_per_atom <= _SHOWN_ABOVE_HULL_EV_PER_ATOM
    ]
    kinds: list[tuple[Sequence[Phase], str, dict[str, Any]]] = [
        (near, "above the hull", {"marker": "o", "ms": 3.5, "color": GREY, "alpha": 0.6}),
        (diagram.stable_entries, "on the hull", {"marker": "o", "ms": 6.5, "color": BLUE}),
        (scored, "scored, with meV/atom above the hull", {"marker": "D", "ms": 6, "color": VERMILION}),
    ]
    marks: list[Point] = []
    for order, (phases, name, style) in enumerate(kinds):
        if phases:
            places = [at(phase) for phase in phases]
            axes.plot(*zip(*places, strict=True), ls="", label=name, zorder=3 + order, **style)
            marks += places
    legend_below(axes)
    return marks


def _scored_labels(scored: Sequence[HullDistance], at: Place) -> list[Label]:
    labels = []
    for phase in scored:
        above = f"{1000 * phase.energy_above_hull_ev_per_atom:+.0f}".replace("-", "−")
        labels.append(Label(*at(phase), f"{shortened(phase.id)} ({above})", VERMILION, _ABOVE))
    return labels


def _hull_labels(diagram: PhaseDiagram, at: Place, towards_degrees: Callable[[Point], float]) -> list[Label]:
    # Of entries that tie, one is enough.
    corners = {entry.formula: at(entry) for entry in diagram.stable_entries}
    return [
        Label(*point, with_subscripts(formula), "black", towards_degrees(point))
        for formula, point in corners.items()
    ]


def _fractions(formula: str, diagram: PhaseDiagram) -> FloatArray:
    """The share of each element of the diagram in the atoms of a formula."""
    composition = Composition(formula)
    return np.array([composition.get_atomic_fraction(element) for element in diagram.elements])
