"""Crystals out of the dictionaries in which databases send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    DisorderedCrystalError,
    InvalidCrystalError,
    UnreadableCrystalError,
)

ANGSTROMS_IN_METRE = 1e10

_FULL_OCCUPANCY = 1 - 1e-3


def crystal_of_optimade(attributes: Mapping[str, Any], *, unit_angstrom: float = 1.0) -> Crystal:
    """The crystal of an OPTIMADE structure, or of one laid out like it with lengths in another unit.

    Raises DisorderedCrystalError, InvalidCrystalError or UnreadableCrystalError, and whatever numpy and
    Python raise where the layout is another.
    """
    for field in ("lattice_vectors", "cartesian_site_positions", "species_at_sites"):
        if not attributes.get(field):
            raise UnreadableCrystalError(f"it has no {field}")
    periodic = attributes.get("dimension_types")
    if periodic is not None and list(periodic) != [1, 1, 1]:
        raise InvalidCrystalError("it is not periodic in all three directions", field="dimension_types")
    occupants = {
        species["name"]: _only_element(
            species["name"], species["chemical_symbols"], species.get("concentration")
        )
        for species in attributes.get("species") or ()
    }
    symbols = [occupants.get(name, name) for name in attributes["species_at_sites"]]
    cell = np.array(attributes["lattice_vectors"], dtype=np.float64).reshape(3, 3) * unit_angstrom
    positions = (
        np.array(attributes["cartesian_site_positions"], dtype=np.float64).reshape(-1, 3) * unit_angstrom
    )
    if len(positions) != len(symbols):
        raise UnreadableCrystalError(f"it has {len(symbols)} species for {len(positions)} positions")
    coordinates = np.linalg.solve(cell.T, positions.T).T.astype(np.float64)
    return Crystal(cell, _atomic_numbers(symbols), coordinates)


def crystal_of_pymatgen(structure: Mapping[str, Any]) -> Crystal:
    """The crystal of a structure as pymatgen writes it in JSON; raises as above."""
    sites = structure["sites"]
    symbols = []
    for site in sites:
        species = site["species"]
        occupancies = [occupant.get("occu", 1) for occupant in species]
        name = "+".join(str(occupant["element"]) for occupant in species)
        symbols.append(_only_element(name, [occupant["element"] for occupant in species], occupancies))
    return Crystal(
        cell=np.array(structure["lattice"]["matrix"], dtype=np.float64).reshape(3, 3),
        numbers=_atomic_numbers(symbols),
        frac_coords=np.array([site["abc"] for site in sites], dtype=np.float64).reshape(-1, 3),
        magnetic_moments=_moments([(site.get("properties") or {}).get("magmom") for site in sites]),
    )


def _only_element(name: str, symbols: Sequence[str], shares: Sequence[float] | None) -> str:
    if len(symbols) != 1 or any(share < _FULL_OCCUPANCY for share in shares or ()):
        raise DisorderedCrystalError(f"the site {name!s:.40} is partially occupied or shared")
    return symbols[0]


def _atomic_numbers(symbols: Sequence[str]) -> np.ndarray:
    for symbol in symbols:
        if symbol not in ATOMIC_NUMBERS:
            raise InvalidCrystalError(f"{symbol!s:.20} is no element", field="atomic_numbers")
    return np.array([ATOMIC_NUMBERS[symbol] for symbol in symbols], dtype=np.int64)


def _moments(values: Sequence[Any]) -> np.ndarray | None:
    # Some sites without a moment, or moments with a direction: no moments are kept.
    if not values or not all(isinstance(value, int | float) for value in values):
        return None
    return np.array(values, dtype=np.float64)
