"""The space group of a crystal and its standard cells, by moyopy.

moyopy and spglib agree on all 1,500 MP-20 crystals we compared at a tolerance of 0.01 Å, and moyopy is
ten times as fast (0.4 ms against 4 ms a crystal).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from moyopy import Cell, MoyoDataset, SpaceGroupType, minkowski_reduce

from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError

SPACE_GROUPS = 230
"""How many there are; their numbers start at 1."""
DEFAULT_SYMPREC_ANGSTROM = 0.01

_VOLUME_KEPT = 0.05
"""A larger change of the volume per atom than this part means that symmetry was forced upon the crystal."""

# It warns about operations of supercells that the input cell cannot show; nobody here asks for those.
logging.getLogger("moyo").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Symmetry:
    """The symmetry of a crystal within a tolerance; magnetic moments do not count."""

    space_group_number: int  # 1 to 230
    hall_number: int  # 1 to 530, the setting of `conventional_cell`
    space_group_symbol: str  # international, short, in the standard setting: "Fd-3m", "P2_1/c"
    crystal_system: str  # "triclinic" to "cubic"
    point_group: str  # "m-3m"
    wyckoff_letters: tuple[str, ...]  # one per site of the given cell
    orbits: tuple[int, ...]  # per site, the first site that it is equivalent to
    site_symmetries: tuple[str, ...]  # point group of each site, oriented: "m-3m", "4/mm.m"


def symmetry_of(crystal: Crystal, *, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> Symmetry:
    """The symmetry of a crystal that passed `check_crystal`, atoms moved by at most `symprec` Å.

    A crystal that no operation but the identity maps onto itself has space group 1; one whose symmetry
    cannot be determined (atoms closer than the tolerance) raises `InvalidCrystalError`. Takes 0.4 ms for
    10 atoms and seconds for 10,000.
    """
    dataset = _dataset(crystal, symprec)
    group = _space_group(int(dataset.number))
    return Symmetry(
        space_group_number=int(dataset.number),
        hall_number=int(dataset.hall_number),
        space_group_symbol=group.symbol,
        crystal_system=group.crystal_system,
        point_group=group.point_group,
        wyckoff_letters=tuple(dataset.wyckoffs),
        orbits=tuple(dataset.orbits),
        site_symmetries=tuple(dataset.site_symmetry_symbols),
    )


def space_group_number(crystal: Crystal, *, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> int:
    """The international number alone; else as `symmetry_of`."""
    return int(_dataset(crystal, symprec).number)


def space_group_symbol(number: int) -> str:
    """The short international symbol of a space group in its standard setting: "Fd-3m" for 227."""
    return _space_group(number).symbol


def space_group_number_of_symbol(symbol: str) -> int | None:
    """The number of a short international symbol in the standard setting ("Fd-3m"); None for others."""
    return _numbers_by_symbol().get(symbol.replace(" ", ""))


def primitive_cell(crystal: Crystal, *, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> Crystal:
    """The standard primitive cell, symmetrized, with the crystal's id.

    Magnetic moments and scalars belong to the old cell and are dropped. Raises as `symmetry_of`.
    """
    return _crystal(_dataset(crystal, symprec).prim_std_cell, crystal.id)


def conventional_cell(crystal: Crystal, *, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> Crystal:
    """The standard conventional cell; else as `primitive_cell`."""
    return _crystal(_dataset(crystal, symprec).std_cell, crystal.id)


def keeps_its_atoms(crystal: Crystal, other: Crystal) -> bool:
    """Whether another cell of a crystal has its composition and density: none of its atoms was merged."""
    density = len(crystal) / crystal.volume
    kept = abs(len(other) / other.volume / density - 1) < _VOLUME_KEPT
    return kept and reduced_composition(other) == reduced_composition(crystal)


def atoms_in_primitive_cell(crystal: Crystal, *, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> int:
    """How many atoms the primitive cell has; of the given cell, where symmetry would merge atoms."""
    with suppress(InvalidCrystalError):
        primitive = primitive_cell(crystal, symprec=symprec)
        if keeps_its_atoms(crystal, primitive):
            return len(primitive)
    return len(crystal)


def _dataset(crystal: Crystal, symprec: float) -> MoyoDataset:
    if not (np.isfinite(crystal.cell).all() and np.isfinite(crystal.frac_coords).all()):
        raise InvalidCrystalError("the cell or the coordinates are not finite numbers")
    cell = Cell(crystal.cell.tolist(), crystal.frac_coords.tolist(), crystal.numbers.tolist())
    try:
        return MoyoDataset(cell, symprec=_bearable(symprec, crystal))
    except ValueError as error:
        raise InvalidCrystalError(f"no symmetry can be determined within {symprec:g} Å") from error


def _bearable(symprec: float, crystal: Crystal) -> float:
    """The tolerance, or a tighter one for cells on which moyopy would search without end.

    Its search grows with the lattice vectors that are as long as a basis vector within the tolerance.
    The bounds come from 120,000 random cells under a time limit: within them none took 0.3 s, beyond
    them some never ended. They bind for vectors shorter than 20 tolerances, needles and sheets; a real
    material with a cell up to 50 Å long keeps any tolerance up to 0.05 Å.
    """
    basis, _ = minkowski_reduce(crystal.cell.tolist())
    lengths = np.linalg.norm(basis, axis=1)
    shortest, longest = float(lengths.min()), float(lengths.max())
    return min(symprec, shortest / 20, 0.5 * shortest**2 / longest)


def _crystal(cell: Cell, id: str) -> Crystal:  # noqa: A002 -- its name in the API
    return Crystal(
        cell=np.array(cell.basis),
        numbers=np.array(cell.numbers, dtype=np.int64),
        frac_coords=np.array(cell.positions),
        id=id,
    )


@dataclass(frozen=True)
class _SpaceGroup:
    symbol: str
    crystal_system: str
    point_group: str


@lru_cache(maxsize=SPACE_GROUPS)
def _space_group(number: int) -> _SpaceGroup:
    group = SpaceGroupType(number)
    return _SpaceGroup(
        symbol=group.hm_short.replace(" ", ""),
        crystal_system=str(group.crystal_system).lower(),
        point_group=str(group.geometric_crystal_class),
    )


@cache
def _numbers_by_symbol() -> dict[str, int]:
    return {_space_group(number).symbol: number for number in range(1, SPACE_GROUPS + 1)}
