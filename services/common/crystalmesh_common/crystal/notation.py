"""How CIF and POSCAR write a number and an element."""

from __future__ import annotations

import math
import re

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.runtime.errors import UnreadableCrystalError

# Narrower than float(): no "nan", "inf", "1_000" or unbounded digits. CIF appends the standard
# uncertainty as "(3)", Fortran writes the exponent with a D.
_NUMBER = re.compile(r"([+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eEdD][+-]?\d{1,4})?)(?:\(\d*\))?")
_LEADING_LETTERS = re.compile(r"[A-Za-z]+")
_SHOWN_CHARACTERS = 40


def quoted(text: str) -> str:
    """A piece of somebody's text, short and printable enough to go into a message."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return ascii(shown).replace("\\u2026", "…")


def parse_number(text: str, what: str) -> float:
    """The finite number that the text writes, else `UnreadableCrystalError` naming `what`."""
    match = _NUMBER.fullmatch(text)
    value = float(match[1].translate(_FORTRAN_EXPONENT)) if match else math.nan
    if not math.isfinite(value):
        raise UnreadableCrystalError(f"{what} is {quoted(text)}, which is not a finite number")
    return value


_FORTRAN_EXPONENT = str.maketrans("dD", "ee")


def parse_element(text: str, *, is_label: bool = False) -> int | None:
    """Atomic number of "Fe", "FE", "Fe3+", "fe2"; None if the text names no element.

    A label may carry more letters after the element ("O1W", "OW"); a symbol may not.
    """
    match = _LEADING_LETTERS.match(text)
    if match is None:
        return None
    letters = match[0].capitalize()
    if not is_label:
        return ATOMIC_NUMBERS.get(letters)
    return ATOMIC_NUMBERS.get(letters[:2]) or ATOMIC_NUMBERS.get(letters[:1])
