"""Where candidates lie between two wishes that compete, with the front of those that no other beats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from crystalmesh.crystal.v1 import target_pb2
from crystalmesh_client.plots.figures import (
    BLUE,
    GREEN,
    GREY,
    VERMILION,
    legend_below,
    new_figure,
    plain_axes,
)
from crystalmesh_client.plots.labels import Label, Point, place_labels
from crystalmesh_client.plots.markup import escaped
from crystalmesh_client.properties import property_name
from crystalmesh_client.reports.findings import Finding
from crystalmesh_client.reports.inline_svg import inline_svg
from crystalmesh_client.reports.wording import HULL, property_title, property_unit

_MOST_LABELS = 20
_MOST_PLOTS = 3
_FAR = 1e9  # an open end of a range
DEFAULT_HULL_LIMIT_EV_PER_ATOM = 0.1
"""What campaigns demand of stability where the target says nothing."""


@dataclass(frozen=True)
class Axis:
    """A wish as an axis of a picture."""

    name: str  # of the property
    low: float
    high: float  # the range asked for, infinite where open; low > high: nothing was asked
    scale: float = 1.0

    @property
    def title(self) -> str:
        """What stands beside it, with the unit."""
        unit = "meV/atom" if self.name == HULL else property_unit(self.name)
        title = property_title(self.name).capitalize()
        return f"{title} ({unit})" if unit else title

    def value(self, finding: Finding) -> float:
        return self.scale * finding.values[self.name].value

    def half_interval(self, finding: Finding) -> float:
        """Half of a 95% interval; 0 where it is not known."""
        half = finding.values[self.name].half_interval or 0.0
        return self.scale * half if math.isfinite(half) else 0.0


def pareto_axes(target: target_pb2.Target, findings: Sequence[Finding]) -> list[tuple[Axis, Axis]]:
    """The pairs of wishes to draw: each property asked for against stability, then the first two of them.

    Without a property in the target, the one that most candidates have a value of is drawn.
    """
    ranked = [finding for finding in findings if finding.rank]
    asked = {property_name(each.property): each for each in target.properties}
    hull = _axis(HULL, asked.get(HULL))
    names = [name for name in asked if name != HULL and _known(ranked, name)]
    if not names:
        counts = {name: _known(ranked, name) for finding in ranked for name in finding.values if name != HULL}
        names = sorted(counts, key=lambda name: -counts[name])[:1]
    axes = [_axis(name, asked.get(name)) for name in names]
    pairs = [(each, hull) for each in axes] if _known(ranked, HULL) else []
    if len(axes) > 1:
        pairs.append((axes[0], axes[1]))
    return [pair for pair in pairs if len(_placed(pair, ranked)) > 1][:_MOST_PLOTS]


def pareto_figures(target: target_pb2.Target, findings: Sequence[Finding]) -> list[str]:
    """A figure of the page for each pair of wishes, with its caption."""
    figures = []
    for number, pair in enumerate(pareto_axes(target, findings)):
        across, up = (axis.title for axis in pair)
        svg = inline_svg(plot_pareto(pair, findings), f"{up} over {across}", name=f"pareto{number}")
        caption = (
            f"<b>{escaped(up)}</b> over <b>{escaped(across)}</b>. Numbers are ranks; a click on a point "
            "leads to the candidate. Lines are 95% intervals; what was asked for is shaded. None on the "
            "Pareto front is beaten in one wish without being better in another."
        )
        figures.append(f"<figure>{svg}<figcaption>{caption}</figcaption></figure>")
    return figures


def plot_pareto(pair: tuple[Axis, Axis], findings: Sequence[Finding]) -> Figure:
    """The candidates that have both values, by their ranks; what was asked for is shaded."""
    across, up = pair
    placed = _placed(pair, findings)
    figure = new_figure(6, 5)
    axes = figure.subplots()
    for finding in placed:
        half = across.half_interval(finding), up.half_interval(finding)
        axes.errorbar(
            across.value(finding),
            up.value(finding),
            xerr=half[0] or None,
            yerr=half[1] or None,
            fmt="none",
            ecolor=GREY,
            elinewidth=0.7,
            alpha=0.35,
            zorder=1,
        )
    points = _mark(axes, pair, placed)
    plain_axes(axes, across.title, up.title)
    _fit(axes, points)
    _shade(axes, across, up)
    legend_below(axes)
    labels = [
        Label(across.value(finding), up.value(finding), finding.label, "black", 90.0)
        for finding in placed[:_MOST_LABELS]
    ]
    place_labels(axes, labels, points, [])
    return figure


def _mark(axes: Axes, pair: tuple[Axis, Axis], placed: Sequence[Finding]) -> list[Point]:
    marks: list[Point] = []
    for name, colour, hits in (("ranked, no hit", GREY, False), ("hit", BLUE, True)):
        chosen = [finding for finding in placed if finding.is_hit == hits]
        if not chosen:
            continue
        points = [(pair[0].value(each), pair[1].value(each)) for each in chosen]
        marks += points
        x, y = zip(*points, strict=True)
        drawn = axes.scatter(x, y, s=30, c=colour, label=name, zorder=4, linewidths=0)
        drawn.set_urls([f"#{each.anchor}" for each in chosen])
    front = [(pair[0].value(each), pair[1].value(each)) for each in placed if each.message.on_pareto_front]
    if front:
        x, y = zip(*sorted(front), strict=True)
        axes.scatter(x, y, s=95, facecolors="none", edgecolors=VERMILION, label="Pareto front", zorder=5)
    return marks


def _shade(axes: Axes, across: Axis, up: Axis) -> None:
    """Shade where both wishes are fulfilled, as far as it is in the picture."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low_x, high_x = _within(across, left, right)
    low_y, high_y = _within(up, bottom, top)
    if low_x >= high_x or low_y >= high_y:
        return
    width, height = high_x - low_x, high_y - low_y
    axes.add_patch(Rectangle((low_x, low_y), width, height, fc=GREEN, alpha=0.13, lw=0, zorder=0))


def _within(axis: Axis, low: float, high: float) -> tuple[float, float]:
    return max(low, axis.low * axis.scale), min(high, axis.high * axis.scale)


def _fit(axes: Axes, points: Sequence[Point]) -> None:
    """Limits by the points themselves: a wide interval is not to squeeze them."""
    x, y = zip(*points, strict=True)
    axes.set_xlim(*_around(x))
    axes.set_ylim(*_around(y))


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.12 * (high - low) or 0.1 * max(abs(high), 1.0)
    return low - margin, high + margin


def _axis(name: str, asked: target_pb2.PropertyRange | None) -> Axis:
    scale = 1000.0 if name == HULL else 1.0
    if asked is None:
        limit = DEFAULT_HULL_LIMIT_EV_PER_ATOM if name == HULL else _FAR
        return Axis(name, -_FAR, limit, scale)
    low = asked.min if asked.HasField("min") else -_FAR
    return Axis(name, low, asked.max if asked.HasField("max") else _FAR, scale)


def _known(findings: Sequence[Finding], name: str) -> int:
    return sum(_is_known(finding, name) for finding in findings)


def _is_known(finding: Finding, name: str) -> bool:
    return name in finding.values and math.isfinite(finding.values[name].value)


def _placed(pair: tuple[Axis, Axis], findings: Sequence[Finding]) -> list[Finding]:
    return list(_with_both(pair, findings))


def _with_both(pair: tuple[Axis, Axis], findings: Sequence[Finding]) -> Iterator[Finding]:
    for finding in findings:
        if finding.rank and all(_is_known(finding, axis.name) for axis in pair):
            yield finding
