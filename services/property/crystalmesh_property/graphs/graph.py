"""A crystal as a graph: which kinds of site it has, and what lies around each.

Sites that a symmetry maps onto each other see the same surroundings, so a network that knows only
distances and angles gives them the same numbers. One site of each orbit stands for all, with its share of
the atoms, and neighbours of one orbit at one distance are one edge with a count. Summed with these weights
the network's output is that of the whole crystal; on MatBench `mp_gap` there are 2.5 times fewer nodes and
3.2 times fewer edges, on MP-20 2.2 and 4.6. A supercell has the graph of its primitive cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_common.crystal.symmetry import symmetry_of
from crystalmesh_common.runtime.errors import InvalidCrystalError

ANGULAR_TERMS = 4
"""Legendre polynomials P1 to P4 of the angles at an edge."""

_SELF_ANGSTROM = 1e-6
_FULL_REACH = 1.6
"""The first search goes so many times as far as a sphere with the wanted number of neighbours."""


@dataclass(frozen=True)
class GraphOptions:
    """What becomes an edge. Two graphs built with different options are not comparable."""

    neighbours: int = 16
    """The nearest so many neighbours of a site, completed to their shell."""
    cutoff_angstrom: float = 8.0
    """None is farther away, so a site in a dilute cell may have fewer, or none."""
    shell_angstrom: float = 0.05
    """What is at most this much farther than the last neighbour belongs to its shell."""
    merge_angstrom: float = 0.01
    """Neighbours of one orbit are one edge when no gap between their distances is larger."""
    reduce_by_symmetry: bool = True
    """Without it every atom is a node and every neighbour an edge: slower, and the same to a network."""


@dataclass(frozen=True, eq=False)
class CrystalGraph:
    """One crystal with n kinds of site and e edges, sorted by target."""

    elements: NDArray[np.uint8]  # (n,), atomic numbers
    multiplicities: NDArray[np.uint16]  # (n,), atoms of the cell that a node stands for
    targets: NDArray[np.uint16]  # (e,), the node that an edge informs
    sources: NDArray[np.uint16]  # (e,), the node that it informs about
    counts: NDArray[np.uint16]  # (e,), neighbours that it stands for
    distances_angstrom: NDArray[np.float32]  # (e,)
    angles: NDArray[np.float16]  # (e, ANGULAR_TERMS), see `_angular_terms`
    space_group: int  # 1 to 230
    volume_per_atom_cubic_angstrom: float

    @property
    def atoms(self) -> int:
        """Atoms in the cell that the graph was built from."""
        return int(self.multiplicities.sum())

    def amounts(self) -> dict[int, int]:
        """Atoms of each element in that cell, by atomic number, ascending."""
        atoms = np.bincount(self.elements, weights=self.multiplicities)
        return {int(number): int(atoms[number]) for number in np.flatnonzero(atoms)}


def build_graph(crystal: Crystal, options: GraphOptions | None = None) -> CrystalGraph:
    """The graph of a crystal that passed `check_crystal`, in about 1 ms for 10 atoms.

    Raises InvalidCrystalError when its symmetry cannot be determined.
    """
    options = options or GraphOptions()
    symmetry = symmetry_of(crystal)
    n_atoms = len(crystal)
    if n_atoms > np.iinfo(np.uint16).max:
        raise InvalidCrystalError(f"{n_atoms} atoms are more than a graph can number")
    orbits = np.array(symmetry.orbits) if options.reduce_by_symmetry else np.arange(n_atoms)
    sites, node_of_atom, multiplicities = np.unique(orbits, return_inverse=True, return_counts=True)
    found = _nearest(crystal, sites, options)
    angles = _angular_terms(found)
    node = node_of_atom[found.second]
    if options.reduce_by_symmetry:
        order, starts = _merged(found.first, node, found.distances, options.merge_angstrom)
    else:
        order, starts = np.arange(len(node)), np.arange(len(node))
    counts = np.diff(np.append(starts, len(order)))
    return CrystalGraph(
        elements=crystal.numbers[sites].astype(np.uint8),
        multiplicities=multiplicities.astype(np.uint16),
        targets=found.first[order[starts]].astype(np.uint16),
        sources=node[order[starts]].astype(np.uint16),
        counts=counts.astype(np.uint16),
        distances_angstrom=_means(found.distances[order], starts, counts).astype(np.float32),
        angles=_means(angles[order], starts, counts).astype(np.float16),
        space_group=symmetry.space_group_number,
        volume_per_atom_cubic_angstrom=crystal.volume / n_atoms,
    )


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """The neighbours of some sites, by site and then by distance."""

    first: IntArray  # (e,), position among the sites
    second: IntArray  # (e,), atom of the cell
    vectors: FloatArray  # (e, 3), in Å
    distances: FloatArray  # (e,), in Å


def _nearest(crystal: Crystal, sites: IntArray, options: GraphOptions) -> _Neighbours:
    """The nearest neighbours of each site, completed to their shell."""
    # Most crystals are about evenly filled, and a search three times shorter is thirty times cheaper.
    per_atom = crystal.volume / len(crystal)
    usual = _FULL_REACH * np.cbrt(3 * (options.neighbours + 1) * per_atom / (4 * np.pi))
    for reach in sorted({min(float(usual), options.cutoff_angstrom), options.cutoff_angstrom}):
        found = _within(crystal, sites, reach)
        begin = np.searchsorted(found.first, np.arange(len(sites) + 1))
        last = begin[:-1] + options.neighbours - 1
        enough = last < begin[1:]
        limits = np.full(len(sites), options.cutoff_angstrom)
        limits[enough] = found.distances[last[enough]] + options.shell_angstrom
        if (limits <= reach).all():
            break
    near = found.distances <= limits[found.first]
    return _Neighbours(found.first[near], found.second[near], found.vectors[near], found.distances[near])


def _within(crystal: Crystal, sites: IntArray, reach: float) -> _Neighbours:
    cell = np.ascontiguousarray(crystal.cell, dtype=np.float64)
    cart = np.ascontiguousarray((crystal.frac_coords - np.floor(crystal.frac_coords)) @ cell)
    first, second, image, distances = find_points_in_spheres(
        cart, cart[sites], r=reach, pbc=np.ones(3, dtype=np.int64), lattice=cell, tol=1e-8
    )
    other = distances > _SELF_ANGSTROM
    first, second, image, distances = first[other], second[other], image[other], distances[other]
    order = np.lexsort((distances, first))
    first, second, image, distances = first[order], second[order], image[order], distances[order]
    vectors = cart[second] + image @ cell - cart[sites[first]]
    return _Neighbours(first, second, vectors, distances)


def _angular_terms(found: _Neighbours) -> FloatArray:
    """How the other neighbours stand to each edge, (e, ANGULAR_TERMS).

    The mean of P_l(cos θ) over the neighbours of the same site, θ between them and the edge, the near ones
    counting most: exp(-3 d / nearest). What costs a line graph at every step of a training is computed once.
    """
    first, distances = found.first, found.distances
    if not len(first):
        return np.zeros((0, ANGULAR_TERMS))
    begin = np.searchsorted(first, np.arange(first[-1] + 2))
    sizes = np.diff(begin)
    nearest = distances[np.minimum(begin[:-1], len(first) - 1)]
    weights = np.exp(3 * (1 - distances / nearest[first]))
    unit = found.vectors / distances[:, None]
    # Every site as a row of its own, filled up with neighbours of no weight.
    column = np.arange(len(first)) - begin[first]
    directions = np.zeros((len(sizes), sizes.max(), 3))
    directions[first, column] = unit
    shares = np.zeros((len(sizes), sizes.max()))
    shares[first, column] = weights
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    x = np.einsum("emc,ec->em", directions[first], unit)  # (e, most neighbours), cos θ
    square = x * x
    polynomials = (x, 1.5 * square - 0.5, x * (2.5 * square - 1.5), (4.375 * square - 3.75) * square + 0.375)
    return np.stack([(p * shares[first]).sum(axis=1) for p in polynomials], axis=1)


def _merged(
    first: IntArray, node: IntArray, distances: FloatArray, gap_angstrom: float
) -> tuple[IntArray, IntArray]:
    """An order in which neighbours to be merged follow each other, and where each group starts."""
    order = np.lexsort((distances, node, first))
    if not len(order):
        return order, order
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (
        (np.diff(first[order]) != 0)
        | (np.diff(node[order]) != 0)
        | (np.diff(distances[order]) > gap_angstrom)
    )
    return order, np.flatnonzero(new)


def _means(values: FloatArray, starts: IntArray, counts: IntArray) -> FloatArray:
    if not len(starts):
        return values
    sums: FloatArray = np.add.reduceat(values, starts, axis=0)
    means: FloatArray = sums / counts.reshape(-1, *[1] * (values.ndim - 1))
    return means
