"""Names beside points, where they cover neither each other nor a point, and lines as little as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox, BboxBase

from crystalmesh_client.plots.figures import SMALL_SIZE
from crystalmesh_common.crystal.structure import FloatArray

Point = tuple[float, float]
Line = tuple[Point, Point]

_MARKER_POINTS = 4.0
_RINGS_POINTS = (8.0, 14.0, 22.0, 32.0, 44.0, 58.0)
_TURNS_DEGREES = (0, 45, -45, 90, -90, 135, -135, 180)
_FAR_POINTS = 12.0
"""Beyond this a line leads to the point."""
_COVERED_LINE_COST = 1.2
"""What a point (1/72 inch) of covered line costs, in points of distance."""


@dataclass(frozen=True)
class Label:
    """A name and the point that it belongs to, in data coordinates."""

    x: float
    y: float
    text: str
    colour: str
    towards_degrees: float = -90.0  # where it is wanted most; -90 is below


@dataclass
class _Page:
    """What of a figure is covered already, in its pixels."""

    axes: Axes
    renderer: RendererBase
    room: BboxBase
    taken: list[Bbox]
    lines: FloatArray  # (n, 2), points along all lines, one a point (1/72 inch)


def place_labels(axes: Axes, labels: Sequence[Label], points: Sequence[Point], lines: Sequence[Line]) -> None:
    """Write each label near its point; one that finds no room within an inch is left out.

    The axes must have their final limits: places are found in the pixels of the figure.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    figure.draw_without_rendering()  # settles the layout
    pixels = figure.dpi / 72
    page = _Page(
        axes=axes,
        renderer=FigureCanvasAgg(figure).get_renderer(),  # type: ignore[no-untyped-call]
        room=axes.bbox,
        taken=[_around(axes, point, _MARKER_POINTS * pixels) for point in points],
        lines=np.vstack([np.empty((0, 2)), *(_along(axes, line, pixels) for line in lines)]),
    )
    for label in labels:
        _place(page, label)


def _place(page: _Page, label: Label) -> None:
    """Try every place, and keep the label at the cheapest one."""
    best: tuple[float, Point, Bbox] | None = None
    for rank, offset in enumerate(_offsets(label.towards_degrees)):
        note = _written(page, label, offset)
        box = Text.get_window_extent(note, page.renderer)  # without the line to the point
        note.remove()
        inside = page.room.contains(box.x0, box.y0) and page.room.contains(box.x1, box.y1)
        if not inside or any(box.overlaps(other) for other in page.taken):
            continue
        covered = int(((page.lines >= box.min) & (page.lines <= box.max)).all(axis=1).sum())
        # Equal places go by their rank: those in the wanted direction come first.
        cost = float(np.hypot(*offset)) + _COVERED_LINE_COST * covered + 0.1 * rank
        if best is None or cost < best[0]:
            best = cost, offset, box
    if best is not None:
        _written(page, label, best[1])
        page.taken.append(best[2])


def _written(page: _Page, label: Label, offset: Point) -> Annotation:
    dx, dy = offset
    far = np.hypot(dx, dy) > _FAR_POINTS
    note = page.axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        ha="left" if dx > 1 else "right" if dx < -1 else "center",
        va="bottom" if dy > 1 else "top" if dy < -1 else "center",
        fontsize=SMALL_SIZE,
        color=label.colour,
        zorder=6,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        arrowprops={"arrowstyle": "-", "lw": 0.5, "color": label.colour, "shrinkB": 3} if far else None,
    )
    note.set_in_layout(False)
    note.update_positions(page.renderer)
    return note


def _offsets(towards_degrees: float) -> Iterator[Point]:
    """Offsets in points: near ones first, those in the direction first."""
    for distance in _RINGS_POINTS:
        for turn in _TURNS_DEGREES:
            angle = np.radians(towards_degrees + turn)
            yield distance * float(np.cos(angle)), distance * float(np.sin(angle))


def _around(axes: Axes, point: Point, radius: float) -> Bbox:
    x, y = axes.transData.transform(point)
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _along(axes: Axes, line: Line, pixels: float) -> FloatArray:
    start, end = axes.transData.transform(line)
    count = int(np.hypot(*(end - start)) / pixels) + 1
    return np.asarray(np.linspace(start, end, count))
