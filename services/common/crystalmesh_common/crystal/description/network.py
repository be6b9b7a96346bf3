"""What bonds make of the atoms: molecules, chains, layers, frameworks, and polyhedra that share corners."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.description.neighbours import Neighbourhood
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, MAX_ATOMIC_NUMBER
from crystalmesh_common.crystal.structure import Crystal

Cell: TypeAlias = tuple[int, int, int]
"""Which of the periodic cells."""

Atom: TypeAlias = tuple[int, Cell]
"""A site and the cell that it is in."""

_HOME: Cell = (0, 0, 0)
_ANIONS = ("H", "C", "N", "O", "F", "P", "S", "Cl", "As", "Se", "Br", "Sb", "Te", "I")
_IS_ANION = np.isin(range(MAX_ATOMIC_NUMBER + 1), [ATOMIC_NUMBERS[symbol] for symbol in _ANIONS])


@dataclass(frozen=True)
class Component:
    """Atoms that hang together by bonds."""

    dimension: int  # 0 for a molecule or a lone atom, 1 for a chain, 2 for a layer, 3 for a framework
    sites: tuple[int, ...]  # those of one period of it


def components(around: Sequence[Neighbourhood]) -> list[Component]:
    """The parts of a crystal between which there are no bonds; a bond that one end sees counts."""
    bonds: dict[int, set[Atom]] = defaultdict(set)
    for site, neighbourhood in enumerate(around):
        for neighbour, image in atoms_of(neighbourhood):
            bonds[site].add((neighbour, image))
            bonds[neighbour].add((site, _minus(_HOME, image)))
    found: list[Component] = []
    seen: set[int] = set()
    for site in range(len(around)):
        if site not in seen:
            component = _component(site, bonds)
            seen.update(component.sites)
            found.append(component)
    return found


def _component(start: int, bonds: Mapping[int, set[Atom]]) -> Component:
    """Walk along the bonds; meeting a known site in another cell gives a direction of the period."""
    cells: dict[int, Cell] = {start: _HOME}
    periods: set[Cell] = set()
    waiting = [start]
    while waiting:
        site = waiting.pop()
        for neighbour, image in bonds.get(site, ()):
            cell = _plus(cells[site], image)
            if neighbour not in cells:
                cells[neighbour] = cell
                waiting.append(neighbour)
            elif cell != cells[neighbour]:
                periods.add(_minus(cell, cells[neighbour]))
    dimension = int(np.linalg.matrix_rank(np.array(sorted(periods)))) if periods else 0
    return Component(dimension, tuple(sorted(cells)))


def is_cation(crystal: Crystal, site: int, neighbourhood: Neighbourhood) -> bool:
    """Whether the neighbours, at least one, are all anions: nonmetals more electronegative than the atom."""
    neighbours = crystal.numbers[neighbourhood.sites]
    less = ELECTRONEGATIVITIES[crystal.numbers[site]] < ELECTRONEGATIVITIES[neighbours]
    return len(neighbours) > 0 and bool((less & _IS_ANION[neighbours]).all())


def shared_corners(
    polyhedra: Mapping[int, Neighbourhood],
) -> dict[int, Counter[tuple[int, int]]]:
    """Per polyhedron, how many others of each site share so many corners with it: {(site, corners): count}.

    One shared corner is a corner, two are an edge, more are a face.
    """
    centres: dict[int, list[Atom]] = defaultdict(
        list
    )  # per corner in the home cell, the polyhedra that have it
    for site, neighbourhood in polyhedra.items():
        for corner, image in atoms_of(neighbourhood):
            centres[corner].append((site, _minus(_HOME, image)))
    shared: dict[int, Counter[tuple[int, int]]] = {}
    for site, neighbourhood in polyhedra.items():
        others = Counter(
            (other, _plus(image, cell))
            for corner, image in atoms_of(neighbourhood)
            for other, cell in centres[corner]
        )
        del others[(site, _HOME)]
        shared[site] = Counter((other, corners) for (other, _), corners in others.items())
    return shared


def atoms_of(neighbourhood: Neighbourhood) -> list[Atom]:
    """The neighbours as atoms."""
    images = neighbourhood.images.tolist()
    return [(site, (a, b, c)) for site, (a, b, c) in zip(neighbourhood.sites.tolist(), images, strict=True)]


def _plus(one: Cell, other: Cell) -> Cell:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])


def _minus(one: Cell, other: Cell) -> Cell:
    return (one[0] - other[0], one[1] - other[1], one[2] - other[2])
