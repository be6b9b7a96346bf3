"""Crystals from and to CIF and POSCAR text.

Reading is safe for text from anybody: it touches no file, starts nothing, takes time about linear in
the text (a few seconds at the size limit), and raises a `CrystalError` with a short message for
everything that is not one ordered structure. It does hold the interpreter for that time, so a server
reads off its event loop. It needs numpy, and moyopy for a CIF that names a space group without listing
its operations.
"""

from __future__ import annotations

from dataclasses import replace

from crystalmesh_common.crystal.cif import parse_cif, write_cif, write_symmetrized_cif
from crystalmesh_common.crystal.poscar import parse_poscar, write_poscar
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import UnreadableCrystalError

MAX_TEXT_CHARACTERS = 10_000_000
MAX_ATOMS = 10_000


def crystal_from_cif(text: str, *, id: str = "", max_atoms: int = MAX_ATOMS) -> Crystal:  # noqa: A002 -- its name in the API
    """The one structure of a CIF text, symmetry written out.

    The id is the given one, else the name of the data block. Listed symmetry operations are applied and
    images closer than 0.05 Å are one atom. Magnetic moments and displacements are not read.

    Raises `UnreadableCrystalError` for bad text and for none or several structures,
    `DisorderedCrystalError` for a partially occupied site, `TooManyAtomsError`, and
    `InvalidCrystalError` for a cell that cannot be. Two atoms at one place pass; `check_crystal` is next.
    """
    crystals = crystals_from_cif(text, max_atoms=max_atoms)
    if len(crystals) != 1:
        raise UnreadableCrystalError(
            f"the CIF describes {len(crystals)} structures instead of one", structures=len(crystals)
        )
    return replace(crystals[0], id=id or crystals[0].id)


def crystals_from_cif(text: str, *, max_atoms: int = MAX_ATOMS) -> list[Crystal]:
    """Every structure of a CIF text, at least one, named after their data blocks; else as above."""
    crystals = parse_cif(_readable(text), max_atoms=max_atoms)
    if not crystals:
        raise UnreadableCrystalError("the CIF has no data block with atoms in fractional coordinates")
    return crystals


def crystal_from_poscar(text: str, *, id: str = "", max_atoms: int = MAX_ATOMS) -> Crystal:  # noqa: A002 -- its name in the API
    """The structure of a POSCAR or CONTCAR text with element symbols, with the given id.

    Raises as `crystal_from_cif` does.
    """
    return replace(parse_poscar(_readable(text), max_atoms=max_atoms), id=id)


def crystal_to_cif(crystal: Crystal, *, symprec: float | None = None) -> str:
    """The crystal as CIF text, named after its id.

    Without `symprec` every site is listed as it is. With it (in Å) the text holds the conventional cell,
    one site of every orbit and the symmetry operations: the same material, in a new cell and order.
    """
    return write_cif(crystal) if symprec is None else write_symmetrized_cif(crystal, symprec=symprec)


def crystal_to_poscar(crystal: Crystal) -> str:
    """The crystal as POSCAR text, its id on the first line."""
    return write_poscar(crystal)


def _readable(text: str) -> str:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise UnreadableCrystalError(
            f"{len(text)} characters of text; at most {MAX_TEXT_CHARACTERS} are read", characters=len(text)
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
