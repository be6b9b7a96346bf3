"""Crystals of well-known structure types, of any elements, and disguises for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray, cell_from_parameters

_Sites = Sequence[Sequence[float]]
FACE_CENTRED = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def rock_salt(numbers: Sequence[int] = (11, 17), a: float = 5.6) -> Crystal:
    return _crystal(a * FACE_CENTRED, numbers, [[0, 0, 0], [0.5, 0.5, 0.5]])


def zincblende(numbers: Sequence[int] = (30, 16), a: float = 5.4) -> Crystal:
    return _crystal(a * FACE_CENTRED, numbers, [[0, 0, 0], [0.25, 0.25, 0.25]])


def caesium_chloride(numbers: Sequence[int] = (55, 17), a: float = 4.1) -> Crystal:
    return _crystal(a * np.eye(3), numbers, [[0, 0, 0], [0.5, 0.5, 0.5]])


def wurtzite(numbers: Sequence[int] = (30, 8), u: float = 0.382, c: float = 5.2) -> Crystal:
    first, second = numbers
    sites: _Sites = [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, u], [2 / 3, 1 / 3, 0.5 + u]]
    cell = cell_from_parameters([3.25, 3.25, c], [90, 90, 120])
    return _crystal(cell, [first, first, second, second], sites)


def rutile(numbers: Sequence[int] = (22, 8), u: float = 0.305, a: float = 4.6) -> Crystal:
    metal, other = numbers
    sites: _Sites = [
        [0, 0, 0], [0.5, 0.5, 0.5], [u, u, 0], [-u, -u, 0], [0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]
    ]  # fmt: skip
    return _crystal(np.diag([a, a, 0.64 * a]), [metal, metal, other, other, other, other], sites)


def perovskite(numbers: Sequence[int] = (38, 22, 8), a: float = 3.9, polar: float = 0.0) -> Crystal:
    large, small, other = numbers
    sites: _Sites = [[0, 0, 0], [0.5, 0.5, 0.5 + polar], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return _crystal(np.diag([a, a, (1 + polar) * a]), [large, small, other, other, other], sites)


def half_heusler(numbers: Sequence[int] = (22, 28, 50), a: float = 5.9) -> Crystal:
    return _crystal(a * FACE_CENTRED, numbers, [[0, 0, 0], [0.25, 0.25, 0.25], [0.5, 0.5, 0.5]])


def cinnabar(numbers: Sequence[int] = (80, 16)) -> Crystal:
    """A chiral one, P3_121."""
    metal, other = numbers
    x, y = 0.72, 0.49
    sites: _Sites = [[x, 0, 1 / 3], [0, x, 2 / 3], [-x, -x, 0], [y, 0, 5 / 6], [0, y, 1 / 6], [-y, -y, 0.5]]
    cell = cell_from_parameters([4.15, 4.15, 9.5], [90, 90, 120])
    return _crystal(cell, [metal] * 3 + [other] * 3, sites)


STRUCTURES: Mapping[str, Callable[[], Crystal]] = {
    "rock salt": rock_salt,
    "zincblende": zincblende,
    "caesium chloride": caesium_chloride,
    "wurtzite": wurtzite,
    "rutile": rutile,
    "perovskite": perovskite,
    "tetragonal perovskite": lambda: perovskite(polar=0.03),
    "half-Heusler": half_heusler,
    "cinnabar": cinnabar,
}


def disguised(crystal: Crystal, seed: int, *, noise: float = 0.0) -> Crystal:
    """The same in another cell, turned, with another origin and order of atoms, sites moved by noise in Å."""
    random = np.random.default_rng(seed)
    change = _unimodular(random)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # proper
    cell = change @ crystal.cell @ turn
    sites = crystal.frac_coords @ np.linalg.inv(change) + random.random(3)
    sites = sites + random.normal(scale=noise, size=sites.shape) @ np.linalg.inv(cell)
    order = random.permutation(len(crystal))
    return Crystal(cell, crystal.numbers[order], sites[order], crystal.id)


def mirrored(crystal: Crystal) -> Crystal:
    """The mirror image: inverted through the origin."""
    return Crystal(crystal.cell, crystal.numbers, -crystal.frac_coords, crystal.id)


def _unimodular(random: np.random.Generator) -> FloatArray:
    change = np.eye(3)
    for _ in range(2):
        first, second = random.choice(3, 2, replace=False)
        change[first] += random.choice([-1, 1]) * change[second]
    change = change[random.permutation(3)]
    proper: FloatArray = change * np.linalg.det(change)
    return proper


def _crystal(cell: FloatArray, numbers: Sequence[int], sites: _Sites) -> Crystal:
    return Crystal(np.asarray(cell, dtype=np.float64), np.array(numbers), np.array(sites, dtype=np.float64))
