"""A crystal as a small picture: SVG text that stands alone or in a page, light or dark.

It needs numpy, and moyopy for conventional cells. Nothing of what callers give becomes text of the picture
but numbers and the symbols of elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crystalmesh_client.plots.crystal_scene import Scene, scene_of
from crystalmesh_client.plots.element_looks import colour_of
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_common.runtime.errors import CrystalMeshError

_MARGIN = 10.0
_LEGEND_HEIGHT = 26.0
_CAMERA_DISTANCE = 6.0  # in radii of the scene: near enough for depth, too far for distortion
_LARGEST_SCALE = 46.0  # pixels an Å
_EDGE_PIECE_ANGSTROM = 0.4
_DEPTHS = 4
_HAZE = (138, 150, 166)
_MOST_HAZE = 0.42
_BOND_RADIUS_ANGSTROM = 0.11
_LONGEST_CELL_ANGSTROM = 1e4
_AXIS_COLOURS = ("#d9483b", "#3f9b4b", "#3b73d9")
_AXIS_PIXELS = 17.0
_SYMPREC_ANGSTROM = 0.1
"""As the server looks for space groups of what it made."""
_MOST_ATOMS = 64
_FONT = "system-ui,-apple-system,'Segoe UI',sans-serif"

Colour = tuple[int, int, int]
Piece = tuple[float, str]
"""Something drawn: how near it is, and its SVG."""


def crystal_picture(
    cell: FloatArray, numbers: IntArray, frac_coords: FloatArray, *, width: int = 320, height: int = 290
) -> str:
    """The unit cell with its atoms, those on faces repeated, bonds and a legend, as SVG text.

    Takes vectors as rows in Å (3, 3), atomic numbers (n,) and fractional coordinates (n, 3), and draws that
    cell: see `conventional_cell_of`. Short cells are repeated, and the picture says so. What cannot be drawn,
    such as a flat cell, is a picture that says so. The same input gives the same text.
    """
    elements = list(dict.fromkeys(int(number) for number in numbers))
    cell, frac_coords = np.asarray(cell, dtype=np.float64), np.asarray(frac_coords, dtype=np.float64)
    if not _can_be_drawn(cell, frac_coords):
        place = f'x="{width / 2:g}" y="{height / 2:g}" text-anchor="middle" fill="currentColor"'
        message = f"<text {place}>no picture</text>"
        return _svg(width, height, "a crystal that cannot be drawn", message)
    scene = scene_of(cell, np.asarray(numbers, dtype=np.int64), frac_coords)
    camera = _camera(scene, width, height)
    drawing = _Drawing(scene, camera)
    pieces = [*drawing.edges(), *drawing.bonds(), *drawing.atoms()]
    body = "".join(svg for _, svg in sorted(pieces, key=lambda piece: piece[0]))
    symbols = " ".join(symbol_of(number) for number in elements)
    parts = (drawing.definitions(), body, _axes(scene, height), _legend(elements, width, height))
    return _svg(width, height, f"unit cell of {symbols}", "".join(parts) + _repeat_note(scene, width, height))


def conventional_cell_of(crystal: Crystal) -> Crystal:
    """The cell that people know a crystal by; the given one where none is found, or where it is too large."""
    try:
        from crystalmesh_common.crystal.symmetry import conventional_cell  # noqa: PLC0415 -- needs moyopy

        known = conventional_cell(crystal, symprec=_SYMPREC_ANGSTROM)
    except (CrystalMeshError, ImportError):
        return crystal
    return known if len(known) <= max(_MOST_ATOMS, len(crystal)) else crystal


@dataclass(frozen=True)
class _Camera:
    """From the viewer's frame to the page."""

    distance: float  # Å from the middle of the scene
    scale: float  # pixels an Å in the middle
    x: float  # of the middle, in pixels
    y: float

    def magnified(self, z: float) -> float:
        return self.distance / (self.distance - z)

    def place(self, position: FloatArray) -> tuple[float, float]:
        size = self.scale * self.magnified(float(position[2]))
        return self.x + size * float(position[0]), self.y - size * float(position[1])


def _camera(scene: Scene, width: float, height: float) -> _Camera:
    """The camera that fills the page, the legend left out."""
    corners = scene.edges.reshape(-1, 3)
    points = np.concatenate([scene.positions, corners])
    radii = np.concatenate([scene.radii, np.zeros(len(corners))])
    distance = _CAMERA_DISTANCE * float((np.linalg.norm(points, axis=1) + radii).max())
    magnified = distance / (distance - points[:, 2])
    flat, reach = points[:, :2] * magnified[:, None], (radii * magnified)[:, None]
    low, high = (flat - reach).min(axis=0), (flat + reach).max(axis=0)
    room = np.array([width - 2 * _MARGIN, height - 2 * _MARGIN - _LEGEND_HEIGHT])
    scale = min(float((room / (high - low)).min()), _LARGEST_SCALE)
    middle = (low + high) / 2
    page_y = _MARGIN + room[1] / 2
    return _Camera(distance, scale, width / 2 - scale * middle[0], float(page_y + scale * middle[1]))


class _Drawing:
    """Makes the pieces of a picture, and remembers which colours they need."""

    def __init__(self, scene: Scene, camera: _Camera) -> None:
        self._scene = scene
        self._camera = camera
        self._shades: dict[str, Colour] = {}
        depths = scene.positions[:, 2]
        self._far, self._span = float(depths.min()), float(np.ptp(depths)) or 1.0

    def definitions(self) -> str:
        """The gradients of all balls that were drawn."""
        return (
            "<defs>" + "".join(_gradient(name, colour) for name, colour in self._shades.items()) + "</defs>"
        )

    def atoms(self) -> Iterator[Piece]:
        """Balls with light from above."""
        scene, camera = self._scene, self._camera
        for number, position, radius in zip(scene.numbers, scene.positions, scene.radii, strict=True):
            x, y = camera.place(position)
            z = float(position[2])
            size = float(radius) * camera.scale * camera.magnified(z)
            colour = self._hazed(int(number), z)
            name = f"cm-{_hex(colour)}"
            self._shades[name] = colour
            rim = _hex(_mixed(colour, (0, 0, 0), 0.55))
            yield (
                z,
                (
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="url(#{name})"'
                    f' stroke="#{rim}" stroke-width=".7"/>'
                ),
            )

    def bonds(self) -> Iterator[Piece]:
        """Sticks in the colours of both ends, each from the surface of its ball to the middle."""
        scene = self._scene
        for first, second in scene.bonds:
            middle = (scene.positions[first] + scene.positions[second]) / 2
            for atom in (int(first), int(second)):
                yield self._half_bond(atom, middle)

    def edges(self) -> Iterator[Piece]:
        """The edges of the cell, in pieces, so that atoms lie before and behind them."""
        scene = self._scene
        for start, end in scene.edges:
            pieces = min(max(round(float(np.linalg.norm(end - start)) / _EDGE_PIECE_ANGSTROM), 6), 24)
            stops = np.linspace(start, end, pieces + 1)
            for near, far in pairwise(stops):
                apart = np.linalg.norm(scene.positions - (near + far) / 2, axis=1)
                if (apart < 0.97 * scene.radii).any():
                    continue  # inside a ball
                (x1, y1), (x2, y2) = self._camera.place(near), self._camera.place(far)
                z = float(near[2] + far[2]) / 2
                strength = 0.75 - 0.4 * self._haze(z)
                yield (
                    z,
                    (
                        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor"'
                        f' stroke-width="1" stroke-opacity="{strength:.2f}" stroke-linecap="round"/>'
                    ),
                )

    def _half_bond(self, atom: int, middle: FloatArray) -> Piece:
        position, radius = self._scene.positions[atom], float(self._scene.radii[atom])
        along = middle - position
        length = float(np.linalg.norm(along))
        start = position + along * min(0.9 * radius / length, 1.0)
        (x1, y1), (x2, y2) = self._camera.place(start), self._camera.place(middle)
        z = float(start[2] + middle[2]) / 2
        stick = 2 * _BOND_RADIUS_ANGSTROM * self._camera.scale * self._camera.magnified(z)
        colour = self._hazed(int(self._scene.numbers[atom]), z)
        path = f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"'
        dark, light = _hex(_mixed(colour, (0, 0, 0), 0.38)), _hex(_mixed(colour, (255, 255, 255), 0.22))
        # Behind its own ball where it leads away, before it where it comes nearer.
        depth = z if middle[2] >= position[2] else min(z, float(position[2]) - 1e-6)
        return depth, (
            f'{path} stroke="#{dark}" stroke-width="{stick:.1f}"/>'
            f'{path} stroke="#{light}" stroke-width="{0.5 * stick:.1f}"/>'
        )

    def _hazed(self, number: int, z: float) -> Colour:
        """The colour of an element at a depth: the farther, the greyer, in few steps."""
        step = round(self._haze(z) * (_DEPTHS - 1)) / (_DEPTHS - 1)
        return _mixed(_rgb(colour_of(number)), _HAZE, _MOST_HAZE * step)

    def _haze(self, z: float) -> float:
        return min(max(1 - (z - self._far) / self._span, 0.0), 1.0)


def _can_be_drawn(cell: FloatArray, frac_coords: FloatArray) -> bool:
    if not (len(frac_coords) and np.isfinite(cell).all() and np.isfinite(frac_coords).all()):
        return False
    lengths = np.linalg.norm(cell, axis=1)
    return bool(
        lengths.min() > 0.1
        and lengths.max() < _LONGEST_CELL_ANGSTROM
        and abs(np.linalg.det(cell)) > 1e-3 * lengths.prod()
    )


def _svg(width: int, height: int, label: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" aria-label="{label}" fill="none" font-family="{_FONT}"'
        f' font-size="12"><g fill="none">{body}</g></svg>'
    )


def _axes(scene: Scene, height: float) -> str:
    """Where a, b and c point, in the lower left corner."""
    x, y = 28.0, height - 22.0
    drawn: list[Piece] = []
    for name, axis, colour in zip("abc", scene.axes, _AXIS_COLOURS, strict=True):
        dx, dy = _AXIS_PIXELS * float(axis[0]), -_AXIS_PIXELS * float(axis[1])
        length = max(float(np.hypot(dx, dy)), 1.0)
        tx, ty = x + dx * (1 + 7 / length), y + dy * (1 + 7 / length)
        svg = (
            f'<path d="M{x:.1f} {y:.1f}l{dx:.1f} {dy:.1f}" stroke="{colour}" stroke-width="1.8"'
            f' stroke-linecap="round"/><text x="{tx:.1f}" y="{ty + 3.5:.1f}" text-anchor="middle"'
            f' font-size="11" font-style="italic" fill="{colour}">{name}</text>'
        )
        drawn.append((float(axis[2]), svg))
    return "".join(svg for _, svg in sorted(drawn, key=lambda piece: piece[0]))


def _legend(elements: list[int], width: float, height: float) -> str:
    """The colour of each element, in a row below."""
    step = min(44.0, (width - 70) / len(elements))
    left = max((width - step * len(elements)) / 2, 62.0) + 8
    y = height - 13.0
    items = []
    for place, number in enumerate(elements):
        x = left + step * place
        colour = _rgb(colour_of(number))
        rim = _hex(_mixed(colour, (0, 0, 0), 0.55))
        items.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="#{_hex(colour)}" stroke="#{rim}"'
            f' stroke-width=".7"/><text x="{x + 10:.1f}" y="{y + 4:.1f}" fill="currentColor">'
            f"{symbol_of(number)}</text>"
        )
    return "".join(items)


def _repeat_note(scene: Scene, width: float, height: float) -> str:
    if max(scene.repeats) == 1:
        return ""
    note = " × ".join(map(str, scene.repeats)) + " cells"
    return (
        f'<text x="{width - 8:g}" y="{height - 9:g}" text-anchor="end" font-size="11" fill="currentColor"'
        f' fill-opacity=".7">{note}</text>'
    )


def _gradient(name: str, colour: Colour) -> str:
    light, dark = _mixed(colour, (255, 255, 255), 0.72), _mixed(colour, (0, 0, 0), 0.32)
    return (
        f'<radialGradient id="{name}" cx=".5" cy=".5" r=".56" fx=".34" fy=".3">'
        f'<stop offset="0" stop-color="#{_hex(light)}"/><stop offset=".5" stop-color="#{_hex(colour)}"/>'
        f'<stop offset="1" stop-color="#{_hex(dark)}"/></radialGradient>'
    )


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (
        round((1 - share) * own + share * its) for own, its in zip(colour, other, strict=True)
    )
    return red, green, blue


def _rgb(text: str) -> Colour:
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


def _hex(colour: Colour) -> str:
    return "".join(f"{part:02x}" for part in colour)
