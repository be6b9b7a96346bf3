"""Formulas as they stand in tables, "Na3Mn1Co1Ni1O6", and as callers write them, "Ca(OH)2"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from crystalmesh_common.crystal.elements import SYMBOLS
from crystalmesh_common.runtime.errors import InvalidFieldError

_NUMBER = r"(\d+\.?\d*|\.\d+)?"
_PART = re.compile(rf"([A-Z][a-z]?){_NUMBER}|(\()|\){_NUMBER}")
_KNOWN = frozenset(SYMBOLS)
_MAX_LENGTH = 200


@lru_cache(maxsize=65_536)
def amounts_of(formula: str) -> Mapping[str, float]:
    """How many atoms of each element a formula holds; raises InvalidFieldError where it is none.

    pymatgen reads formulas, too, ten times slower, and takes some for others' (any "X" is a species to it).
    """
    groups: list[dict[str, float]] = [{}]
    position = 0
    while position < len(formula) <= _MAX_LENGTH:
        part = _PART.match(formula, position)
        if part is None:
            raise _not_a_formula(formula)
        position = part.end()
        symbol, number, opening, group_number = part.groups()
        if opening:
            groups.append({})
        elif symbol:
            if symbol not in _KNOWN:
                raise InvalidFieldError(f"{formula!r}: {symbol} is no element", field="formula")
            _add(groups[-1], {symbol: 1.0}, float(number or 1))
        elif len(groups) > 1:
            inner = groups.pop()
            _add(groups[-1], inner, float(group_number or 1))
        else:
            raise _not_a_formula(formula)
    amounts = {symbol: amount for symbol, amount in groups[0].items() if amount > 0}
    if position < len(formula) or len(groups) > 1 or not amounts:
        raise _not_a_formula(formula)
    return amounts


def _add(amounts: dict[str, float], more: Mapping[str, float], times: float) -> None:
    for symbol, amount in more.items():
        amounts[symbol] = amounts.get(symbol, 0.0) + times * amount


def _not_a_formula(formula: str) -> InvalidFieldError:
    return InvalidFieldError(f"{formula[:80]!r} is no chemical formula", field="formula")
