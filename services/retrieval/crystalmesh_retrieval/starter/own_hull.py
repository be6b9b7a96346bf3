"""Whether a hull can be built from the catalog alone, and how far its distances are from the labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crystalmesh_common.crystal.composition import composition_of
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import ModelNotFoundError, ReferenceIncompleteError
from crystalmesh_retrieval.catalog.material import Material, Property


@dataclass(frozen=True)
class HullComparison:
    """Hull distances from the catalog alone next to the labels, in eV/atom."""

    elements: int
    materials: int
    on_own_hull: int
    on_labelled_hull: int
    mean_absolute_difference: float
    correlation: float  # 1 where nothing varies
    within_25_mev: float  # share of materials


def formation_energies(materials: Iterable[Material]) -> Mapping[str, float]:
    """Counted from the lowest entry of each element in the catalog itself, by id in eV/atom.

    Raises ReferenceIncompleteError where an element that occurs has no entry of its own.
    """
    known = [m for m in materials if Property.FORMATION_ENERGY in m.properties]
    lowest: dict[str, float] = {}
    for material in known:
        amounts = amounts_of(material)
        if len(amounts) == 1:
            (symbol,) = amounts
            energy = _formation_energy(material)
            lowest[symbol] = min(energy, lowest.get(symbol, energy))
    missing = sorted({symbol for material in known for symbol in amounts_of(material)} - set(lowest))
    if missing:
        raise ReferenceIncompleteError(
            f"the catalog has no entry of the element {', '.join(missing)}", elements=missing
        )
    return {
        material.id: _formation_energy(material)
        - sum(n * lowest[symbol] for symbol, n in amounts_of(material).items()) / len(material.crystal)
        for material in known
    }


def distances(materials: Sequence[Material]) -> Mapping[str, float]:
    """How far each lies above the hull of all of them, by id in eV/atom; raises as `formation_energies`.

    Raises ModelNotFoundError without crystalmesh-relaxation, whose hulls these are.
    """
    try:
        from crystalmesh_relaxation.stability.entries import (  # noqa: PLC0415 -- another service's package
            Entry,
            EntryTable,
            shares_in,
            system_of,
        )
        from crystalmesh_relaxation.stability.reference import SystemHull  # noqa: PLC0415
    except ImportError:
        raise ModelNotFoundError("hulls are computed by crystalmesh-relaxation: install it") from None
    energies = formation_energies(materials)
    known = {material.id: material for material in materials if material.id in energies}
    table = EntryTable([Entry(key, _formula(m), energies[key]) for key, m in known.items()])
    hulls: dict[tuple[str, ...], SystemHull] = {}
    found: dict[str, float] = {}
    for key, material in known.items():
        amounts = {symbol: float(count) for symbol, count in amounts_of(material).items()}
        system = system_of(amounts)
        if system not in hulls:
            hulls[system] = SystemHull.of(system, table.within(system))
        below = hulls[system].hull.under(shares_in(system, amounts))
        found[key] = energies[key] - below.energy_ev_per_atom
    return found


def compare(materials: Sequence[Material]) -> HullComparison:
    """The catalog's own hull next to its labels; raises as `distances`."""
    own = distances(materials)
    both = [m for m in materials if m.id in own and Property.ENERGY_ABOVE_HULL in m.properties]
    here = np.array([own[m.id] for m in both])
    there = np.array([m.properties[Property.ENERGY_ABOVE_HULL].value for m in both])
    apart = np.abs(here - there)
    return HullComparison(
        elements=sum(len(amounts_of(m)) == 1 for m in both),
        materials=len(both),
        on_own_hull=int((here < 1e-3).sum()),
        on_labelled_hull=int((there < 1e-3).sum()),
        mean_absolute_difference=float(apart.mean()),
        correlation=_correlation(here, there),
        within_25_mev=float((apart < 0.025).mean()),
    )


def _correlation(first: FloatArray, second: FloatArray) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 1.0
    return float(np.corrcoef(first, second)[0, 1])


def amounts_of(material: Material) -> dict[str, int]:
    """Atoms of each element in the cell, by symbol."""
    return {symbol_of(number): count for number, count in composition_of(material.crystal)}


def _formation_energy(material: Material) -> float:
    return material.properties[Property.FORMATION_ENERGY].value


def _formula(material: Material) -> str:
    return "".join(f"{symbol}{count}" for symbol, count in amounts_of(material).items())
