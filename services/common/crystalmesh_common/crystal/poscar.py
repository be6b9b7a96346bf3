"""The crystal that a VASP POSCAR or CONTCAR text describes, and the text of a crystal.

Own code for the reasons that `cif.py` gives; besides, a message here names the line.
"""

from __future__ import annotations

import re
from itertools import groupby

import numpy as np

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, symbol_of
from crystalmesh_common.crystal.notation import parse_number, quoted
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import (
    InvalidCrystalError,
    TooManyAtomsError,
    UnreadableCrystalError,
)

# "Fe", and what VASP itself writes after it: "Fe_pv", "Fe/0a1b2c".
_SYMBOL = re.compile(r"([A-Z][a-z]?)(?:[_/]\S*)?")


def parse_poscar(text: str, *, max_atoms: int) -> Crystal:
    """The structure in the text, sites in its order, without an id.

    Takes VASP 5 and 6 files, with selective dynamics and velocities, which are dropped. Raises a
    `CrystalError`; files without element symbols (VASP 4) are refused.
    """
    # Everything past the atoms is velocities and predictor coordinates.
    lines = _Lines(text.splitlines()[: max_atoms + 20])
    lines.next("the comment")
    factors = [parse_number(word, "the scaling factor") for word in lines.words("the scaling factor", 1)[:3]]
    vectors = np.array([lines.numbers("a lattice vector") for _ in range(3)])
    scaling = _scaling(factors, vectors)
    with np.errstate(over="ignore"):  # infinite cells are for the validity check
        cell = vectors * scaling
    numbers = _numbers(lines, max_atoms)
    mode = lines.next("the coordinate mode").strip()
    if mode[:1] in {"S", "s"}:
        mode = lines.next("the coordinate mode").strip()
    if mode[:1].lower() not in {"d", "c", "k"}:
        raise lines.error(f"the coordinate mode {quoted(mode)} is neither Direct nor Cartesian")
    coordinates = np.array([lines.numbers("coordinates") for _ in numbers], dtype=np.float64)
    if mode[:1].lower() != "d":
        with np.errstate(all="ignore"):
            coordinates = _fractional(coordinates * scaling, cell)
    return Crystal(cell=cell, numbers=np.array(numbers, dtype=np.int64), frac_coords=coordinates)


def write_poscar(crystal: Crystal) -> str:
    """The crystal as POSCAR text in fractional coordinates, sites in the crystal's order, to 1e-12.

    Neighbouring sites of one element share an entry in the symbol line, so a crystal whose elements
    alternate names an element more than once.
    """
    comment = re.sub(r"\s+", " ", crystal.id).strip()[:100] or "crystal"
    runs = [(symbol_of(number), len(list(run))) for number, run in groupby(crystal.numbers.tolist())]
    lines = [comment, "1.0"]
    lines += ["  ".join(f"{x:.12f}" for x in vector) for vector in crystal.cell.tolist()]
    lines += [" ".join(symbol for symbol, _ in runs), " ".join(str(size) for _, size in runs), "Direct"]
    lines += ["  ".join(f"{x:.12f}" for x in site) for site in crystal.frac_coords.tolist()]
    return "\n".join(lines) + "\n"


class _Lines:
    """The lines of a file, one after the other, for messages that say which."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._read = 0

    def next(self, what: str) -> str:
        if self._read == len(self._lines):
            raise UnreadableCrystalError(f"the text ends before {what}", line=self._read)
        self._read += 1
        return self._lines[self._read - 1]

    def words(self, what: str, at_least: int) -> list[str]:
        words = self.next(what).split()
        if len(words) < at_least:
            raise self.error(f"{what} needs {at_least} values, there are {len(words)}")
        return words

    def numbers(self, what: str) -> list[float]:
        words = self.words(what, 3)
        return [parse_number(word, f"line {self._read}: {what}") for word in words[:3]]

    def error(self, what: str) -> UnreadableCrystalError:
        return UnreadableCrystalError(f"line {self._read}: {what}", line=self._read)


def _numbers(lines: _Lines, max_atoms: int) -> list[int]:
    """Atomic number of every site, from the symbol line and the count line."""
    symbols = lines.words("the element symbols", 1)
    if all(symbol.isdecimal() for symbol in symbols):
        raise lines.error("there are no element symbols (a VASP 4 file); put them above the atom counts")
    elements = []
    for symbol in symbols:
        match = _SYMBOL.fullmatch(symbol)
        if match is None or match[1] not in ATOMIC_NUMBERS:
            raise lines.error(f"{quoted(symbol)} is no element")
        elements.append(ATOMIC_NUMBERS[match[1]])
    counts = lines.words("the atom counts", 1)[: len(elements)]
    # 9 digits: more would be a number before it is refused as too many atoms.
    if len(counts) != len(elements) or not all(re.fullmatch(r"\d{1,9}", count, re.ASCII) for count in counts):
        raise lines.error(f"{len(elements)} elements need as many atom counts")
    n_atoms = sum(map(int, counts))
    if n_atoms > max_atoms:
        raise TooManyAtomsError(
            f"{n_atoms} atoms; at most {max_atoms} are taken", atoms=n_atoms, max_atoms=max_atoms
        )
    return [element for element, count in zip(elements, counts, strict=True) for _ in range(int(count))]


def _scaling(factors: list[float], vectors: FloatArray) -> FloatArray:
    """What lattice vectors and Cartesian positions are multiplied with, (1,) or (3,) for one per axis."""
    if len(factors) != 3 and factors[0] < 0:
        # Minus the volume of the scaled lattice. A silly lattice gives a silly number, refused below.
        with np.errstate(all="ignore"):
            scaling = np.array([float(-factors[0] / abs(np.linalg.det(vectors))) ** (1 / 3)])
    else:
        scaling = np.array(factors if len(factors) == 3 else factors[:1])
    if not ((scaling > 0) & np.isfinite(scaling)).all():
        raise InvalidCrystalError("the scaling factor and the lattice do not make a cell", field="cell")
    return scaling


def _fractional(positions: FloatArray, cell: FloatArray) -> FloatArray:
    try:
        return positions @ np.linalg.inv(cell)
    except np.linalg.LinAlgError as error:
        raise InvalidCrystalError("the lattice vectors do not span a volume", field="cell") from error
