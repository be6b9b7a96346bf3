"""Crystals from and to ASE atoms."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import InvalidCrystalError

if TYPE_CHECKING:
    from ase import Atoms

_ID_INFO = "id"


def to_atoms(crystal: Crystal) -> Atoms:
    """The crystal as ASE atoms, atoms in the same order, coordinates as they are.

    Magnetic moments become initial moments; the id and the scalars become entries of `Atoms.info`, so a
    scalar named "id" is refused with `InvalidCrystalError`.
    """
    from ase import Atoms  # noqa: PLC0415 -- few callers need it

    if _ID_INFO in crystal.scalars:
        raise InvalidCrystalError("a scalar cannot be named 'id'", field="scalars")
    info: dict[str, object] = dict(crystal.scalars)
    if crystal.id:
        info[_ID_INFO] = crystal.id
    return Atoms(
        numbers=crystal.numbers,
        positions=crystal.cart_coords,
        cell=crystal.cell,
        pbc=True,
        magmoms=crystal.magnetic_moments,
        info=info,
    )


def from_atoms(atoms: Atoms, *, id: str = "") -> Crystal:  # noqa: A002 -- its name in the API
    """The crystal of ASE atoms that are periodic in all three directions.

    Initial magnetic moments are kept, else those that an attached calculator already holds; so are the
    numbers in `Atoms.info`. `id` goes before the id in the info. Raises `InvalidCrystalError` for
    molecules, slabs, a missing cell, dummy atoms (number 0) and non-collinear moments.
    """
    _check_periodic(atoms)
    numbers = np.array(atoms.numbers, dtype=np.int64)
    for index in np.flatnonzero((numbers < 1) | (numbers > MAX_ATOMIC_NUMBER))[:1]:
        raise InvalidCrystalError(
            f"atom {index} has atomic number {numbers[index]}, which is no element", site=index
        )
    named = atoms.info.get(_ID_INFO)
    return Crystal(
        cell=np.array(atoms.cell.array, dtype=np.float64),
        numbers=numbers,
        frac_coords=np.array(atoms.cell.scaled_positions(atoms.positions), dtype=np.float64).reshape(-1, 3),
        id=id or (named if isinstance(named, str) else ""),
        magnetic_moments=_moments(atoms),
        scalars={str(name): float(value) for name, value in atoms.info.items() if _is_number(value)},
    )


def _check_periodic(atoms: Atoms) -> None:
    if not np.isfinite(atoms.cell.array).all():
        raise InvalidCrystalError("the cell contains numbers that are not finite", field="cell")
    if atoms.cell.rank < 3 or abs(np.linalg.det(atoms.cell.array)) < 1e-12:
        raise InvalidCrystalError("the atoms have no cell that spans a volume", field="cell")
    if not all(atoms.pbc):
        raise InvalidCrystalError(
            "the atoms are not periodic in all three directions; set atoms.pbc = True if they should be",
            field="pbc",
        )


def _moments(atoms: Atoms) -> FloatArray | None:
    moments = atoms.arrays.get("initial_magmoms")
    if moments is None and atoms.calc is not None:
        moments = getattr(atoms.calc, "results", {}).get("magmoms")
    if moments is None:
        return None
    if np.shape(moments) != (len(atoms),):
        raise InvalidCrystalError(
            "magnetic moments must be one number per atom; non-collinear moments are not supported",
            field="magmoms",
        )
    return np.array(moments, dtype=np.float64)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
