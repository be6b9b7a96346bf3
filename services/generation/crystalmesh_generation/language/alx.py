"""ALX, a crystal as text: lengths, angles, then element and fractional coordinates of each atom.

As MatExpert prints it: lengths in Å to one decimal, whole degrees, coordinates to two decimals.

    5.6 5.6 5.6
    90 90 90
    Na 0.00 0.00 0.00
    Cl 0.50 0.50 0.50

Line ends are for people; any whitespace parts the words.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, symbol_of
from crystalmesh_common.crystal.notation import quoted
from crystalmesh_common.crystal.structure import Crystal, cell_from_parameters, cell_parameters

MAX_LENGTH_ANGSTROM = 59.9
MIN_ANGLE_DEGREES, MAX_ANGLE_DEGREES = 5, 175
CELL_WORDS = 6
ATOM_WORDS = 4
_LONGEST_WORD = 8


class AlxFault(StrEnum):
    """In which way text is no crystal."""

    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    IMPOSSIBLE_CELL = "impossible_cell"


class AlxError(Exception):
    """Text that is no crystal."""

    def __init__(self, fault: AlxFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


def write_alx(crystal: Crystal) -> str:
    """The crystal as ALX, its sites in their order; what rounds to 1.00 is 0.00.

    Raises `ValueError` for a cell that the format has no numbers for: longer than 59.9 Å or flatter than 5°.
    """
    lengths, angles = cell_parameters(crystal.cell)
    if lengths.max() > MAX_LENGTH_ANGSTROM:
        raise ValueError(f"the cell is {lengths.max():.1f} Å long, and ALX ends at {MAX_LENGTH_ANGSTROM} Å")
    whole = np.rint(angles).astype(int)
    if whole.min() < MIN_ANGLE_DEGREES or whole.max() > MAX_ANGLE_DEGREES:
        raise ValueError("an angle of the cell is below 5 or above 175 degrees")
    lines = [
        " ".join(f"{length:.1f}" for length in lengths),
        " ".join(str(angle) for angle in whole),
    ]
    hundredths = np.rint(np.mod(crystal.frac_coords, 1.0) * 100).astype(int) % 100
    lines += [
        " ".join([symbol_of(number), *(f"0.{each:02d}" for each in site)])
        for number, site in zip(crystal.numbers.tolist(), hundredths.tolist(), strict=True)
    ]
    return "\n".join(lines)


def read_alx(text: str, *, max_atoms: int, id: str = "") -> Crystal:  # noqa: A002 -- its name in the API
    """The crystal of ALX text. Raises `AlxError`, which says in which way it is none."""
    # One more than allowed tells "too many" from "just enough"; the rest is not looked at.
    words = text.split(maxsplit=CELL_WORDS + ATOM_WORDS * max_atoms)
    if len(words) > CELL_WORDS + ATOM_WORDS * max_atoms:
        raise AlxError(AlxFault.MALFORMED, f"there are more than {max_atoms} atoms")
    atom_words = words[CELL_WORDS:]
    numbers, coords = [], []
    lengths = [_decimal(word, 1, "a length") for word in words[:3]]
    angles = [_decimal(word, 0, "an angle") for word in words[3:6]]
    for start in range(0, len(atom_words), ATOM_WORDS):
        symbol, *site = atom_words[start : start + ATOM_WORDS]
        if symbol not in ATOMIC_NUMBERS:
            raise AlxError(AlxFault.MALFORMED, f"{quoted(symbol)} is no element")
        numbers.append(ATOMIC_NUMBERS[symbol])
        coords.append([_decimal(word, 2, "a coordinate") for word in site])
    if len(words) <= CELL_WORDS or len(atom_words) % ATOM_WORDS:
        raise AlxError(AlxFault.TRUNCATED, "the text ends within a cell or an atom")
    try:
        cell = cell_from_parameters(lengths, angles)
    except ValueError as error:
        raise AlxError(AlxFault.IMPOSSIBLE_CELL, str(error)) from None
    return Crystal(cell=cell, numbers=np.array(numbers), frac_coords=np.array(coords), id=id)


def in_lines(words: str) -> str:
    """ALX with the line ends that people expect, whatever whitespace it came with; also of a part of one."""
    parts = words.split()
    lines = [parts[:3], parts[3:CELL_WORDS]]
    lines += [parts[n : n + ATOM_WORDS] for n in range(CELL_WORDS, len(parts), ATOM_WORDS)]
    return "\n".join(" ".join(line) for line in lines if line)


def _decimal(word: str, decimals: int, what: str) -> float:
    """A number with so many digits after its point, and nothing else."""
    head, point, tail = word.partition(".")
    plain = word.isascii() and len(word) <= _LONGEST_WORD and head.isdigit()
    if (
        not plain
        or len(tail) != decimals
        or (decimals == 0) != (point == "")
        or (tail and not tail.isdigit())
    ):
        raise AlxError(AlxFault.MALFORMED, f"{quoted(word)} is not {what} with {decimals} decimals")
    return float(word)
