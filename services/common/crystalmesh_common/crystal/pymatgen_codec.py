"""Crystals from and to pymatgen structures."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import DisorderedCrystalError, InvalidCrystalError

if TYPE_CHECKING:
    from pymatgen.core.sites import PeriodicSite
    from pymatgen.core.structure import IStructure, Structure

_ID_PROPERTY = "id"
_MOMENT_PROPERTY = "magmom"


def to_structure(crystal: Crystal) -> Structure:
    """The crystal as a pymatgen structure, sites in the same order, coordinates as they are.

    Magnetic moments become the site property `magmom`; the id and the scalars become entries of
    `Structure.properties`, so a scalar named "id" is refused with `InvalidCrystalError`.
    """
    # Half a second that few callers need.
    from pymatgen.core.lattice import Lattice  # noqa: PLC0415
    from pymatgen.core.structure import Structure  # noqa: PLC0415

    if _ID_PROPERTY in crystal.scalars:
        raise InvalidCrystalError("a scalar cannot be named 'id'", field="scalars")
    moments = crystal.magnetic_moments
    properties: dict[str, object] = dict(crystal.scalars)
    if crystal.id:
        properties[_ID_PROPERTY] = crystal.id
    return Structure(
        Lattice(crystal.cell),
        crystal.numbers.tolist(),
        crystal.frac_coords,
        site_properties=None if moments is None else {_MOMENT_PROPERTY: moments.tolist()},
        properties=properties,
    )


def from_structure(structure: IStructure | Structure, *, id: str = "") -> Crystal:  # noqa: A002 -- its name in the API
    """The crystal of an ordered pymatgen structure.

    Oxidation states and spins of species are dropped, `magmom` and the numbers in
    `Structure.properties` are kept. `id` goes before the id in the properties.

    Raises `DisorderedCrystalError` for a site that is partially occupied or shared, and
    `InvalidCrystalError` for a dummy species, a lattice that is not periodic in all directions, or
    non-collinear moments.
    """
    if not all(structure.lattice.pbc):
        raise InvalidCrystalError("the structure is not periodic in all three directions", field="pbc")
    named = structure.properties.get(_ID_PROPERTY)
    return Crystal(
        cell=np.array(structure.lattice.matrix, dtype=np.float64),
        numbers=np.array([_atomic_number(k, site) for k, site in enumerate(structure)], dtype=np.int64),
        frac_coords=np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
        id=id or (named if isinstance(named, str) else ""),
        magnetic_moments=_moments(structure),
        scalars={
            str(name): float(value) for name, value in structure.properties.items() if _is_number(value)
        },
    )


def _atomic_number(index: int, site: PeriodicSite) -> int:
    from pymatgen.core.periodic_table import DummySpecies  # noqa: PLC0415

    occupants = list(site.species.items())
    if len(occupants) != 1 or abs(occupants[0][1] - 1.0) > 1e-3:
        shares = ", ".join(f"{species} {share:g}" for species, share in occupants[:4])
        raise DisorderedCrystalError(f"site {index} is occupied by {shares}", site=index, occupancy=shares)
    species = occupants[0][0]
    if isinstance(species, DummySpecies):
        raise InvalidCrystalError(f"site {index} holds {species}, which is no element", site=index)
    return int(species.Z)


def _moments(structure: IStructure | Structure) -> FloatArray | None:
    values = structure.site_properties.get(_MOMENT_PROPERTY)
    if values is None or all(value is None for value in values):
        return None
    try:
        # A site without a moment among sites with one has none; pymatgen fills it with None.
        return np.array([0.0 if value is None else float(value) for value in values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidCrystalError(
            "magnetic moments must be one number per site; non-collinear moments are not supported",
            field=_MOMENT_PROPERTY,
        ) from error


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
