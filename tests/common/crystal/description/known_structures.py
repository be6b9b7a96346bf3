"""Crystals of well-known structure types, and any crystal in another cell."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.structure import Crystal, FloatArray, cell_from_parameters
from tests.conftest import iron, lone_atom, silicon, sodium_chloride


def _crystal(symbols: str, cell: FloatArray, coordinates: list[list[float]]) -> Crystal:
    numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in symbols.split()])
    return Crystal(cell, numbers, np.array(coordinates))


def strontium_titanate() -> Crystal:
    """Cubic perovskite."""
    sites = [[0.0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return _crystal("Sr Ti O O O", 3.905 * np.eye(3), sites)


def titania() -> Crystal:
    """Rutile."""
    u = 0.305
    sites = [[0, 0, 0], [0.5] * 3, [u, u, 0], [-u, -u, 0], [0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]]
    return _crystal("Ti Ti O O O O", np.diag([4.594, 4.594, 2.959]), sites)


def molybdenite() -> Crystal:
    """Layers of trigonal prisms."""
    cell = cell_from_parameters([3.16, 3.16, 12.3], [90, 90, 120])
    first, second = [1 / 3, 2 / 3], [2 / 3, 1 / 3]
    sites = [[*first, 0.25], [*second, 0.75], [*first, 0.621], [*second, 0.121], [*first, 0.879]]
    return _crystal("Mo Mo S S S S", cell, [*sites, [*second, 0.379]])


def selenium() -> Crystal:
    """Helical chains."""
    sites = [[0.225, 0, 1 / 3], [0, 0.225, 2 / 3], [-0.225, -0.225, 0]]
    return _crystal("Se Se Se", cell_from_parameters([4.37, 4.37, 4.95], [90, 90, 120]), sites)


def dry_ice() -> Crystal:
    """Molecules of carbon dioxide on the sites of pyrite."""
    x, a = 0.119, 5.55
    centres = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    axes = x * np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])
    sites = np.concatenate([centres, centres + axes, centres - axes])
    return Crystal(a * np.eye(3), np.array([6] * 4 + [8] * 8), sites)


def copper_gold() -> Crystal:
    """L1_2, ordered face-centred cubic."""
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return _crystal("Au Cu Cu Cu", 3.75 * np.eye(3), sites)


def rhenium_oxide() -> Crystal:
    """Corner-sharing octahedra, on the same sites as L1_2."""
    return _crystal("Re O O O", 3.75 * np.eye(3), [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])


def sodium_cobaltate() -> Crystal:
    """Layered sodium cobaltate, in the rhombohedral cell."""
    sites = [[0.5] * 3, [0, 0, 0], [0.23] * 3, [0.77] * 3]
    return _crystal("Na Co O O", cell_from_parameters([5.46] * 3, [30.7] * 3), sites)


def triclinic() -> Crystal:
    """No symmetry at all."""
    sites = [[0.02, 0.03, 0.05], [0.48, 0.55, 0.07], [0.27, 0.31, 0.52], [0.81, 0.73, 0.61]]
    return _crystal("Li Fe O F", cell_from_parameters([4.1, 4.5, 5.2], [81, 95, 102]), sites)


def known_structures() -> list[Crystal]:
    """One of each."""
    made = [strontium_titanate(), titania(), molybdenite(), selenium(), dry_ice(), copper_gold()]
    more = [rhenium_oxide(), sodium_cobaltate(), triclinic()]
    return [sodium_chloride(), silicon(), iron(), lone_atom(), *made, *more]


@st.composite
def other_cells(draw: st.DrawFn, crystal: Crystal) -> Crystal:
    """The same crystal in a skewed supercell, turned, with another origin and order of its sites."""
    repeats = draw(st.lists(st.integers(1, 2), min_size=3, max_size=3))
    skews = draw(st.lists(st.integers(-2, 2), min_size=3, max_size=3))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    skew = np.array([[1, skews[0], skews[1]], [0, 1, skews[2]], [0, 0, 1]])
    corners = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = ((crystal.frac_coords + corners) / repeats).reshape(-1, 3) @ np.linalg.inv(skew)
    cell = skew @ np.diag(repeats) @ crystal.cell
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # a mirror image has another space group where that is chiral
    order = random.permutation(len(sites))
    images = random.integers(-2, 3, size=sites.shape)
    numbers = np.tile(crystal.numbers, len(corners))
    return Crystal(cell @ turn, numbers[order], (sites + random.random(3) + images)[order])
