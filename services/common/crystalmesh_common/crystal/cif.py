"""The crystals that a CIF text describes, and the text of a crystal.

Own code where pymatgen and ASE have readers, for three reasons: text comes from strangers and language
models, and those readers take time quadratic in the atoms times the operations; they report through
process-global warnings, which threads cannot separate; and they guess, or drop occupancies, where we
have to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count

import numpy as np

from crystalmesh_common.crystal.cif_symmetry import (
    SymmetryOperations,
    format_operation,
    operations_of_setting,
    symmetry_operations,
)
from crystalmesh_common.crystal.cif_syntax import CifBlock, read_blocks
from crystalmesh_common.crystal.composition import composition_of
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.notation import parse_element, parse_number, quoted
from crystalmesh_common.crystal.structure import (
    Crystal,
    FloatArray,
    cell_from_parameters,
    cell_parameters,
)
from crystalmesh_common.crystal.validity import MAX_CELL_LENGTH_ANGSTROM, MAX_FRACTIONAL_COORDINATE
from crystalmesh_common.runtime.errors import (
    DisorderedCrystalError,
    InvalidCrystalError,
    TooManyAtomsError,
    UnreadableCrystalError,
)

_SAME_SITE_ANGSTROM = 0.05
"""Images of one atom this close are one site. Coordinates come rounded ("0.333"), no two atoms so close."""
_OCCUPANCY_TOLERANCE = 1e-3
_FRACTIONAL = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")


def parse_cif(text: str, *, max_atoms: int) -> list[Crystal]:
    """Every structure in the text, in order, with the names of their data blocks as ids.

    Blocks without atoms are passed over. Raises a `CrystalError`; checks nothing that is not about
    reading (see `validity.check_crystal`).
    """
    return [_crystal(block, max_atoms) for block in read_blocks(text) if block.column(_FRACTIONAL[0])]


def write_cif(crystal: Crystal) -> str:
    """The crystal as CIF text without symmetry, every site listed, positions to 1e-10."""
    return _written(crystal, range(len(crystal)), "P 1", 1, ["x, y, z"])


def write_symmetrized_cif(crystal: Crystal, *, symprec: float) -> str:
    """The conventional cell of the crystal as CIF text: one site per orbit, and the operations.

    Raises `InvalidCrystalError` where the symmetry cannot be determined.
    """
    # A light client writes and reads CIF without moyopy.
    from crystalmesh_common.crystal.symmetry import conventional_cell, symmetry_of  # noqa: PLC0415

    symmetry = symmetry_of(crystal, symprec=symprec)
    conventional = conventional_cell(crystal, symprec=symprec)
    operations = operations_of_setting(symmetry.hall_number)
    return _written(
        conventional,
        _asymmetric_sites(conventional, operations),
        symmetry.space_group_symbol,
        symmetry.space_group_number,
        [
            format_operation(rotation, translation)
            for rotation, translation in zip(operations.rotations, operations.translations, strict=True)
        ],
    )


def _asymmetric_sites(crystal: Crystal, operations: SymmetryOperations) -> list[int]:
    """Sites whose images are all sites, each orbit once."""
    listed: list[int] = []
    missing = np.ones(len(crystal), dtype=bool)
    for site in range(len(crystal)):
        if not missing[site]:
            continue
        listed.append(site)
        for image in _orbit(crystal.frac_coords[site], operations, crystal.cell):
            offsets = crystal.frac_coords - image
            offsets -= np.rint(offsets)
            missing &= np.linalg.norm(offsets @ crystal.cell, axis=1) > _SAME_SITE_ANGSTROM
    return listed


def _written(
    crystal: Crystal, listed_sites: Iterable[int], space_group: str, number: int, operations: list[str]
) -> str:
    lengths, angles = cell_parameters(crystal.cell)
    name = re.sub(r"[^\w.+-]", "_", crystal.id, flags=re.ASCII)[:70] or "crystal"
    # Readers compare it with the sites that they find.
    formula = " ".join(f"{symbol_of(z)}{n}" for z, n in composition_of(crystal))
    lines = [f"data_{name}", f"_chemical_formula_sum '{formula}'"]
    lines += [f"_cell_length_{axis} {length:.10f}" for axis, length in zip("abc", lengths, strict=True)]
    lines += [
        f"_cell_angle_{angle} {degrees:.10f}"
        for angle, degrees in zip(("alpha", "beta", "gamma"), angles, strict=True)
    ]
    lines += [f"_space_group_name_H-M_alt '{space_group}'", f"_space_group_IT_number {number}"]
    lines += ["loop_", "_space_group_symop_operation_xyz", *(f"'{operation}'" for operation in operations)]
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol", *_FRACTIONAL, "_atom_site_occupancy"]
    counters: dict[int, Iterator[int]] = {}
    numbers, frac_coords = crystal.numbers.tolist(), crystal.frac_coords.tolist()
    for site in listed_sites:
        symbol = symbol_of(numbers[site])
        label = f"{symbol}{next(counters.setdefault(numbers[site], count(1)))}"
        x, y, z = frac_coords[site]
        lines.append(f"{label} {symbol} {x:.10f} {y:.10f} {z:.10f} 1")
    return "\n".join(lines) + "\n"


def _crystal(block: CifBlock, max_atoms: int) -> Crystal:
    if block.value("_cell_modulation_dimension") not in {None, "0"}:
        raise UnreadableCrystalError("modulated structures are not supported")
    cell = _cell(block)
    numbers, frac_coords = _sites(block, max_atoms)
    operations = symmetry_operations(block, cell)
    if len(operations) == 1:
        return Crystal(cell=cell, numbers=np.array(numbers), frac_coords=frac_coords, id=block.name)
    orbits: list[FloatArray] = []
    n_atoms = 0
    for site in frac_coords:
        orbits.append(_orbit(site, operations, cell))
        n_atoms += len(orbits[-1])
        if n_atoms > max_atoms:
            raise _too_many(f"more than {max_atoms}", max_atoms)
    return Crystal(
        cell=cell,
        numbers=np.repeat(numbers, [len(orbit) for orbit in orbits]),
        frac_coords=np.concatenate(orbits),
        id=block.name,
    )


def _cell(block: CifBlock) -> FloatArray:
    values: list[float] = []
    for tag in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"):
        text = block.value(f"_cell_{tag}")
        if text is None:
            raise UnreadableCrystalError(f"_cell_{tag} is missing")
        values.append(parse_number(text, f"_cell_{tag}"))
    if max(values[:3]) > MAX_CELL_LENGTH_ANGSTROM:
        raise InvalidCrystalError(f"a cell length is more than {MAX_CELL_LENGTH_ANGSTROM:g} Å", field="cell")
    try:
        return cell_from_parameters(values[:3], values[3:])
    except ValueError as error:
        raise InvalidCrystalError(str(error), field="cell") from error


def _sites(block: CifBlock, max_atoms: int) -> tuple[list[int], FloatArray]:
    """Atomic numbers and fractional coordinates (n, 3) of the atoms that the block lists."""
    columns = [block.column(tag) for tag in _FRACTIONAL]
    coordinates = [column for column in columns if column is not None]
    n_rows = len(coordinates[0])
    if len(coordinates) != 3 or any(len(column) != n_rows for column in coordinates):
        raise UnreadableCrystalError("the atoms do not have three fractional coordinates each")
    if n_rows > max_atoms:
        raise _too_many(str(n_rows), max_atoms)
    labels = _atom_column(block, "_atom_site_label", n_rows)
    symbols = _atom_column(block, "_atom_site_type_symbol", n_rows)
    if labels is None and symbols is None:
        raise UnreadableCrystalError("the atoms have neither labels nor type symbols")
    names = labels or symbols or []
    kept = _rows_of_real_atoms(block, n_rows)
    _refuse_disorder(block, names, kept)
    numbers = [_atomic_number(names[row], symbols[row] if symbols else None) for row in kept]
    frac_coords = [
        [
            parse_number(column[row], f"{'xyz'[k]} of {quoted(names[row])}")
            for k, column in enumerate(coordinates)
        ]
        for row in kept
    ]
    sites = np.array(frac_coords, dtype=np.float64).reshape(-1, 3)
    # Before symmetry is applied, which would overflow.
    for row in np.flatnonzero(np.abs(sites).max(axis=1, initial=0) > MAX_FRACTIONAL_COORDINATE)[:1]:
        raise InvalidCrystalError(
            f"site {quoted(names[kept[row]])} has a coordinate beyond {MAX_FRACTIONAL_COORDINATE:g}", site=row
        )
    return numbers, sites


def _atom_column(block: CifBlock, tag: str, n_rows: int) -> list[str] | None:
    column = block.column(tag)
    if column is not None and len(column) != n_rows:
        raise UnreadableCrystalError(f"{tag} has {len(column)} values for {n_rows} atoms")
    return column


def _rows_of_real_atoms(block: CifBlock, n_rows: int) -> list[int]:
    # "dum" marks a point that is no atom (a centroid, a cavity).
    flags = _atom_column(block, "_atom_site_calc_flag", n_rows) or []
    return [row for row in range(n_rows) if not flags or flags[row] != "dum"]


def _refuse_disorder(block: CifBlock, names: list[str], rows: list[int]) -> None:
    occupancies = _atom_column(block, "_atom_site_occupancy", len(names))
    hydrogens = _atom_column(block, "_atom_site_attached_hydrogens", len(names))
    for row in rows:
        if occupancies and occupancies[row] not in {"?", "."}:
            occupancy = parse_number(occupancies[row], f"the occupancy of {quoted(names[row])}")
            if abs(occupancy - 1.0) > _OCCUPANCY_TOLERANCE:
                raise DisorderedCrystalError(
                    f"site {quoted(names[row])} has occupancy {occupancy:g}", site=row, occupancy=occupancy
                )
        if hydrogens and hydrogens[row] not in {"?", ".", "0"}:
            raise UnreadableCrystalError(f"site {quoted(names[row])} carries hydrogen without coordinates")


def _atomic_number(label: str, symbol: str | None) -> int:
    known = symbol if symbol not in {None, "?", "."} else None
    number = parse_element(known) if known else parse_element(label, is_label=True)
    if number is None:
        raise UnreadableCrystalError(
            f"site {quoted(label)} holds {quoted(known or label)}, which is no element"
        )
    return number


def _orbit(site: FloatArray, operations: SymmetryOperations, cell: FloatArray) -> FloatArray:
    """The distinct images of a site in the cell, (m, 3), m at least 1.

    Images that coincide but for rounding are averaged, which puts an atom written as (0.3333, 0.6667)
    exactly on its axis.
    """
    images = operations.rotations @ site + operations.translations
    orbit: list[FloatArray] = []
    while len(images):
        offsets = images - images[0]
        offsets -= np.round(offsets)
        same = np.linalg.norm(offsets @ cell, axis=1) < _SAME_SITE_ANGSTROM
        # Not same[0]: an image so far out that rounding swallows it would never leave the list.
        same[0] = True
        orbit.append(images[0] + offsets[same].mean(axis=0))
        images = images[~same]
    wrapped: FloatArray = np.array(orbit) % 1.0
    return wrapped


def _too_many(found: str, max_atoms: int) -> TooManyAtomsError:
    return TooManyAtomsError(f"{found} atoms; at most {max_atoms} are taken", max_atoms=max_atoms)
