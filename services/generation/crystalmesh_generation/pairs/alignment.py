"""A crystal in the setting of another one that has the same structure, whatever the elements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_generation.pairs.lattices import Lattice, lattice_maps
from crystalmesh_generation.pairs.standard import wrapped

SITE_FRACTION = 0.3
"""How far a site may lie from the one whose role it plays, of the mean spacing (V/n)^(1/3)."""

_PER_ELECTRONEGATIVITY = 0.05
"""Sites may lie this much farther apart for elements that are nearer by one on Pauling's scale."""
_REACH = 2 * SITE_FRACTION
"""Before the common shift is taken out of them, displacements may be this large."""
_ASSIGNMENTS_TRIED = 6
_AT_ONCE = 60_000
"""Distances computed in one go."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """A target that plays the roles of a reference, site by site."""

    crystal: Crystal
    """The target; its cell, origin and order of sites are the reference's choice. Coordinates in [0, 1).
    Where only a mirror image fits, it is the mirror image, so that both cells are right-handed."""
    elements: Mapping[int, int]
    """Which element of the target takes the place of each element of the reference; one to one."""
    displacement: float
    """Root mean square of the displacements of sites, of the mean spacing (V/n)^(1/3)."""
    strain: float
    """Root mean square of the logarithms of the principal stretches between the cells, at equal volume."""


class AlignableCrystal:
    """A crystal that is prepared once and then aligned many times.

    Raises `InvalidCrystalError` for a cell that spans no volume.
    """

    def __init__(self, crystal: Crystal) -> None:
        self.crystal = crystal
        self.lattice = Lattice.of(crystal)
        self.sites: FloatArray = crystal.frac_coords @ np.linalg.inv(self.lattice.reduction)
        """Fractional coordinates in the reduced cell, (n, 3)."""
        elements, self.kinds, self.counts = np.unique(
            crystal.numbers, return_inverse=True, return_counts=True
        )
        self.elements: IntArray = elements
        self.first_of_kind: IntArray = np.array([int(np.argmax(crystal.numbers == e)) for e in elements])
        self.electronegativities: FloatArray = ELECTRONEGATIVITIES[crystal.numbers]

    def __len__(self) -> int:
        return len(self.crystal)


def align(target: Crystal, reference: Crystal) -> Alignment | None:
    """The target in the setting of the reference; None where they are no anonymous match.

    Lattices may differ by 20 % of lengths and 5 degrees, sites by 0.3 of the mean spacing, as for
    StructureMatcher. Both come with equally many atoms, best in their standard settings: a supercell is
    no match for its primitive cell. Of several ways the one with the least displacement and strain is
    taken, unless another gives roles to elements of nearer electronegativity at little cost. Raises
    `InvalidCrystalError` for a cell that spans no volume. Takes about 1 ms; `align_prepared` half of it.
    """
    if len(target) != len(reference):
        return None
    return align_prepared(AlignableCrystal(target), AlignableCrystal(reference))


def align_prepared(target: AlignableCrystal, reference: AlignableCrystal) -> Alignment | None:
    """The same, for crystals that are aligned many times."""
    if len(target) != len(reference) or sorted(target.counts) != sorted(reference.counts):
        return None
    best: _Fit | None = None
    for fit in _fits(target, reference):
        if best is None or fit.score < best.score - 1e-9:
            best = fit
        if best.score <= _least_unlikeness(target, reference) + fit.bound:
            break
    return None if best is None else _written(best, target, reference)


@dataclass(frozen=True, eq=False)
class _Fit:
    """One way to lay the target over the reference."""

    change: FloatArray  # (3, 3): basis in the setting of the reference = change @ reduced basis
    roles: IntArray  # (n,), the target's site for each of the reference's
    offsets: FloatArray  # (n, 3), what to add to the reference's sites, in its reduced cell
    displacement: float
    strain: float
    score: float  # the lower, the better
    bound: float  # no later one has less displacement and strain than this


@dataclass(frozen=True, eq=False)
class _Overlays:
    """Several lattice maps, each with several shifts, and how far sites lie apart: k ways in all."""

    offsets: FloatArray  # (k, n, n, 3), from site i of the reference to site j, nearest image, fractional
    squares: FloatArray  # (k, n, n), their lengths squared, of the mean spacing
    frames: FloatArray  # (k, 3, 3), from fractions to mean spacings


def _fits(target: AlignableCrystal, reference: AlignableCrystal) -> Iterator[_Fit]:
    """The best fit of some lattice maps at a time, by ascending strain."""
    maps, strains = lattice_maps(target.lattice, reference.lattice)
    rare = int(np.argmin(reference.counts))
    anchor = int(reference.first_of_kind[rare])
    partners = np.flatnonzero(target.counts[target.kinds] == reference.counts[rare])
    step = max(1, _AT_ONCE // (len(partners) * len(target) ** 2))
    for start in range(0, len(maps), step):
        changes = maps[start : start + step].astype(np.float64)
        overlays = _overlaid(changes, partners, anchor, target, reference)
        owners = np.repeat(np.arange(len(changes)), len(partners))
        bound = float(strains[start + step]) if start + step < len(maps) else np.inf
        found = _best(overlays, strains[start + owners], target, reference)
        if found is not None:
            way, roles, offsets, displacement, score = found
            strain = float(strains[start + owners[way]])
            yield _Fit(changes[owners[way]], roles, offsets, displacement, strain, score, bound)


def _overlaid(
    changes: FloatArray,
    partners: IntArray,
    anchor: int,
    target: AlignableCrystal,
    reference: AlignableCrystal,
) -> _Overlays:
    """Each lattice map with each partner of the reference's anchor laid over it."""
    atoms = len(target)
    sites = target.sites @ np.linalg.inv(changes)  # (m, n, 3)
    moved = (sites[:, None] - sites[:, partners, None]).reshape(-1, atoms, 3)  # (k, n, 3)
    still = reference.sites - reference.sites[anchor]
    offsets = moved[:, None] - still[None, :, None]
    offsets -= np.rint(offsets)
    metrics = 0.5 * (changes @ target.lattice.metric @ changes.transpose(0, 2, 1) + reference.lattice.metric)
    frames = np.repeat(np.linalg.cholesky(metrics) * np.cbrt(atoms), len(partners), axis=0)
    cartesian = offsets.reshape(len(frames), -1, 3) @ frames
    squares = (cartesian * cartesian).sum(axis=2).reshape(-1, atoms, atoms)
    return _Overlays(offsets, squares, frames)


def _best(
    overlays: _Overlays, strains: FloatArray, target: AlignableCrystal, reference: AlignableCrystal
) -> tuple[int, IntArray, FloatArray, float, float] | None:
    """The way, roles, offsets, displacement and score of the best of these, if any fits."""
    ways, roles = _roles(overlays, target, reference)
    if not len(ways):
        return None
    atoms = np.arange(len(target))
    offsets = overlays.offsets[ways[:, None], atoms, roles]  # (w, n, 3)
    offsets = offsets - offsets.mean(axis=1, keepdims=True)
    squares = ((offsets @ overlays.frames[ways]) ** 2).sum(axis=2)
    displacements = np.sqrt(squares.mean(axis=1))
    likeness = np.abs(target.electronegativities[roles] - reference.electronegativities).mean(axis=1)
    scores = np.hypot(displacements, strains[ways]) + _PER_ELECTRONEGATIVITY * likeness
    scores = np.where(squares.max(axis=1) <= SITE_FRACTION**2, np.round(scores, 6), np.inf)
    chosen = int(np.argmin(scores))
    if not np.isfinite(scores[chosen]):
        return None
    return (
        int(ways[chosen]),
        roles[chosen],
        offsets[chosen],
        float(displacements[chosen]),
        float(scores[chosen]),
    )


def _roles(
    overlays: _Overlays, target: AlignableCrystal, reference: AlignableCrystal
) -> tuple[IntArray, IntArray]:
    """Ways in which every site has a partner of the right element, and the partners (w, n)."""
    nearest = overlays.squares.argmin(axis=2)  # (k, n)
    gaps = overlays.squares.min(axis=2)
    near = np.flatnonzero(gaps.max(axis=1) <= _REACH**2)
    roles = nearest[near]
    fine = _one_to_one(roles) & _keeps_elements(roles, target, reference)
    disputed = near[~fine]
    least = gaps[disputed].mean(axis=1)
    assigned = [
        (way, partners)
        for way in disputed[np.argsort(least, kind="stable")[:_ASSIGNMENTS_TRIED]]
        if (partners := _assigned(overlays.squares[way], nearest[way], target, reference)) is not None
    ]
    if not assigned:
        return near[fine], roles[fine]
    ways = np.array([way for way, _ in assigned])
    return (
        np.concatenate([near[fine], ways]),
        np.concatenate([roles[fine], np.array([partners for _, partners in assigned])]),
    )


def _one_to_one(roles: IntArray) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (np.sort(roles, axis=1) == np.arange(roles.shape[1])).all(axis=1)
    return found


def _keeps_elements(
    roles: IntArray, target: AlignableCrystal, reference: AlignableCrystal
) -> NDArray[np.bool_]:
    """Whether sites of one element have partners of one element; one to one where roles are."""
    partners = target.kinds[roles]  # (w, n)
    kept: NDArray[np.bool_] = (partners == partners[:, reference.first_of_kind[reference.kinds]]).all(axis=1)
    return kept


def _assigned(
    squares: FloatArray, nearest: IntArray, target: AlignableCrystal, reference: AlignableCrystal
) -> IntArray | None:
    """Partners one to one, where the elements of the nearest ones vote on which element takes which place."""
    kinds = len(reference.elements)
    votes = np.zeros((kinds, kinds))
    np.add.at(votes, (reference.kinds, target.kinds[nearest]), 1.0)
    votes[reference.counts[:, None] != target.counts[None]] = -1e6
    _, chosen = linear_sum_assignment(votes, maximize=True)
    allowed = chosen[reference.kinds][:, None] == target.kinds[None]
    _, partners = linear_sum_assignment(np.where(allowed, squares, 1e6))
    if not allowed[np.arange(len(partners)), partners].all():
        return None
    result: IntArray = partners
    return result


def _least_unlikeness(target: AlignableCrystal, reference: AlignableCrystal) -> float:
    """The part of the score that elements have whatever the fit: that of the best roles for them."""
    total = 0.0
    for count in np.unique(reference.counts):
        ours = np.sort(target.electronegativities[target.first_of_kind[target.counts == count]])
        theirs = np.sort(reference.electronegativities[reference.first_of_kind[reference.counts == count]])
        total += float(count * np.abs(ours - theirs).sum())
    return _PER_ELECTRONEGATIVITY * total / len(target)


def _written(fit: _Fit, target: AlignableCrystal, reference: AlignableCrystal) -> Alignment:
    reduction = reference.lattice.reduction
    change = np.rint(np.linalg.inv(reduction)) @ fit.change @ target.lattice.reduction
    cell = change @ target.crystal.cell
    if np.linalg.det(cell) < 0:  # inverted through the origin: the same coordinates along negative vectors
        cell = -cell
    sites = (reference.sites + fit.offsets) @ reduction
    numbers = target.crystal.numbers[fit.roles]
    elements = {
        int(element): int(numbers[first])
        for element, first in zip(reference.elements, reference.first_of_kind, strict=True)
    }
    return Alignment(
        crystal=Crystal(cell, numbers, wrapped(sites), target.crystal.id),
        elements=MappingProxyType(elements),
        displacement=fit.displacement,
        strain=fit.strain,
    )
