"""The convex hull of one chemical system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import linprog
from scipy.spatial import ConvexHull

from crystalmesh_common.crystal.structure import FloatArray, IntArray

MAX_DIMENSION_OF_FACETS = 6
"""Beyond so many elements the facets become too many to keep, and each query is a linear programme."""
_SINGULAR = 1e-9
_AMOUNT = 1e-8  # shares of a product below this are rounding


@dataclass(frozen=True, eq=False)
class Decomposition:
    """What lies under a composition: the energy of the hull, and the entries that make it up there."""

    energy_ev_per_atom: float
    products: Sequence[tuple[int, float]]  # (entry, share of the atoms), the largest first


class Hull:
    """The lower convex hull of formation energies over compositions of k elements.

    `compositions` (m, k) are shares of atoms, `energies` (m,) formation energies per atom. The pure elements
    must be among them. Immutable, so that threads may share it.
    """

    def __init__(self, compositions: FloatArray, energies: FloatArray) -> None:
        self._compositions = compositions
        self._energies = energies
        self._candidates = _lowest_of_each(compositions, energies)

    @property
    def corners(self) -> frozenset[int]:
        """Entries that the hull rests on; leaving out any other changes nothing."""
        if self._dimension > MAX_DIMENSION_OF_FACETS:
            return frozenset(self._candidates.tolist())
        return frozenset(self.facets.ravel().tolist())

    @cached_property
    def facets(self) -> IntArray:
        """Entries that coexist, (f, k): simplices that cover all compositions."""
        if self._dimension == 1:
            return self._candidates[:1].reshape(1, 1)
        points = np.column_stack([self._compositions[self._candidates, 1:], self._energies[self._candidates]])
        if len(points) == self._dimension:
            return self._candidates.reshape(1, -1)
        # A point high above closes the hull; facets that touch it, or stand upright, are not its lower side.
        above = np.append(points[:, :-1].mean(axis=0), points[:, -1].max() + 1.0)
        hull = ConvexHull(
            np.vstack([points, above]), qhull_options="Qt i" if points.shape[1] < 5 else "Qt Qx i"
        )
        lower = ~(hull.simplices == len(points)).any(axis=1)
        simplices = hull.simplices[lower]
        volumes = np.abs(np.linalg.det(self._compositions[self._candidates][simplices]))
        kept: IntArray = self._candidates[simplices[volumes > _SINGULAR]]
        return kept

    def distances(self, compositions: FloatArray, energies: FloatArray) -> FloatArray:
        """How far phases (p, k) of energies (p,) lie above the hull, (p,); negative below it."""
        if self._dimension > MAX_DIMENSION_OF_FACETS:
            return np.array(
                [e - self.under(c).energy_ev_per_atom for c, e in zip(compositions, energies, strict=True)]
            )
        result = np.empty(len(compositions))
        corner_energies = self._energies[self.facets]  # (f, k)
        rows = max(1, 2_000_000 // self.facets.size)
        for start in range(0, len(compositions), rows):
            chunk = slice(start, start + rows)
            shares = np.einsum("pk,fkj->pfj", compositions[chunk], self._inverses)
            best = shares.min(axis=2).argmax(axis=1)
            found = np.take_along_axis(shares, best[:, None, None], axis=1)[:, 0]
            result[chunk] = energies[chunk] - (found * corner_energies[best]).sum(axis=1)
        return result

    def under(self, composition: FloatArray) -> Decomposition:
        """What a phase of this composition (k,) would decompose into."""
        if self._dimension > MAX_DIMENSION_OF_FACETS:
            entries, shares = self._by_linear_programme(composition)
        else:
            all_shares = composition @ self._inverses  # (f, k)
            best = int(all_shares.min(axis=1).argmax())
            entries, shares = self.facets[best], all_shares[best]
        energy = float(shares @ self._energies[entries])
        order = np.argsort(-shares, kind="stable")
        products = [(int(entries[n]), float(shares[n])) for n in order if shares[n] > _AMOUNT]
        return Decomposition(energy, products)

    @property
    def _dimension(self) -> int:
        return int(self._compositions.shape[1])

    @cached_property
    def _inverses(self) -> FloatArray:
        """Per facet, what turns a composition into shares of the facet's corners, (f, k, k)."""
        return np.linalg.inv(self._compositions[self.facets]).astype(np.float64, copy=False)

    def _by_linear_programme(self, composition: FloatArray) -> tuple[IntArray, FloatArray]:
        columns = self._compositions[self._candidates].T
        solution = linprog(self._energies[self._candidates], A_eq=columns, b_eq=composition, method="highs")
        if not solution.success:
            raise ArithmeticError(f"no decomposition was found: {solution.message}")
        used = np.flatnonzero(solution.x > _AMOUNT)
        return self._candidates[used], solution.x[used]


def _lowest_of_each(compositions: FloatArray, energies: FloatArray) -> IntArray:
    """The entries that a hull may rest on: of each composition the lowest, none above the elements."""
    seen: dict[bytes, int] = {}
    for entry in np.argsort(energies, kind="stable"):
        seen.setdefault(compositions[entry].round(8).tobytes(), int(entry))
    lowest = np.array(sorted(seen.values()), dtype=np.int64)
    pure = compositions[lowest].max(axis=1) > 1 - 1e-8
    ground = compositions[lowest[pure]].argmax(axis=1)
    of_elements = np.zeros(compositions.shape[1])
    of_elements[ground] = energies[lowest[pure]]
    below = energies[lowest] < compositions[lowest] @ of_elements - 1e-11
    kept: IntArray = lowest[pure | below]
    return kept
