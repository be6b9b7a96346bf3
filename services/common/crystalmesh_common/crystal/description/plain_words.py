"""What somebody asks for in plain words, as far as rules can tell: "a lithium oxide with a gap of 2-4 eV"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from crystalmesh.crystal.v1.crystal_pb2 import CrystalSystem
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh_common.crystal.composition import reduced_formula_of_text
from crystalmesh_common.crystal.element_names import (
    ANION_NAMES,
    COMPOUND_NAMES,
    ELEMENT_NAMES,
    OTHER_ELEMENT_NAMES,
)
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.symmetry import SPACE_GROUPS, space_group_number_of_symbol
from crystalmesh_common.runtime.errors import InvalidFieldError

MAX_CHARACTERS = 500
"""Longer texts are descriptions of their own, not questions."""

STABLE_EV_PER_ATOM = 0.025
NEARLY_STABLE_EV_PER_ATOM = 0.1
INSULATOR_EV = 3.0

_ELEMENTS_BY_WORD: Mapping[str, tuple[str, ...]] = {
    **{name: (symbol,) for symbol, name in ELEMENT_NAMES.items()},
    **{name: (symbol,) for symbol, name in OTHER_ELEMENT_NAMES.items()},
    **{name: (symbol,) for symbol, name in ANION_NAMES.items()},
    **COMPOUND_NAMES,
}
_ENGLISH = frozenset(("I", "In", "As", "At", "Be", "He", "No", "Am", "OF", "ON", "OK", "IN", "CIF", "CPU"))
"""Words that could be symbols or formulas."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9().]*")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d{0,3}|\([A-Za-z\d]+\)\d{0,3})+")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_ELEMENT_LIST = r"((?:[A-Za-z]+)(?:(?:\s*,\s*(?:and |or )?|\s+(?:and|or)\s+)[A-Za-z]+)*)"
_WITHOUT = re.compile(
    rf"\b(?:without|excluding|except|free of|no)\s+(?:any\s+)?{_ELEMENT_LIST}", re.IGNORECASE
)
_FREE = re.compile(r"\b([A-Za-z]+)[ -]free\b")
_SPACE_GROUP = re.compile(r"\bspace[ -]?group\s+(?:number\s+|no\.?\s+)?([^\s,;()]{1,12})", re.IGNORECASE)
_SYSTEM = re.compile(
    r"\b(triclinic|monoclinic|orthorhombic|tetragonal|trigonal|hexagonal|cubic)\b", re.IGNORECASE
)

_NUMBER = r"(-?\d{1,5}(?:\.\d{1,6})?)"
_UNIT = r"\s*(?:eV(?:\s*(?:/|per)\s*atom)?|GPa|g/cm3|g/cm³)?"
_LOW = r"(?:above|over|at least|greater than|larger than|higher than|more than|from|>=?|≥)"
_HIGH = r"(?:below|under|at most|less than|smaller than|lower than|up to|<=?|≤)"
_BETWEEN = re.compile(rf"(?:between|from)?\s*{_NUMBER}{_UNIT}\s*(?:to|and|-|–|\.\.)\s*{_NUMBER}")
_AT_LEAST = re.compile(rf"{_LOW}\s*{_NUMBER}")
_AT_MOST = re.compile(rf"{_HIGH}\s*{_NUMBER}")
_EXACTLY = re.compile(_NUMBER)
_LINKS = re.compile(
    r"\s*(?:(?:(?:of|is|in the range|range|about|near|around|approximately|the|a)\b|[=:])\s*)*",
    re.IGNORECASE,
)

_PROPERTY_WORDS: Mapping[Property.ValueType, str] = {
    Property.PROPERTY_BAND_GAP_EV: r"\b(?:band[ -]?)?gaps?\b",
    Property.PROPERTY_FORMATION_ENERGY_EV_PER_ATOM: r"\bformation energy\b",
    Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM: (
        r"\b(?:energy above (?:the )?(?:convex )?hull|hull (?:distance|energy))\b"
    ),
    Property.PROPERTY_BULK_MODULUS_GPA: r"\bbulk modulus\b",
    Property.PROPERTY_SHEAR_MODULUS_GPA: r"\bshear modulus\b",
    Property.PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER: r"\bdensity\b",
}
_GAP = Property.PROPERTY_BAND_GAP_EV
_HULL = Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM
_PHRASES: tuple[tuple[str, Property.ValueType, float | None, float | None], ...] = (
    (
        r"\b(?:without|no|zero) (?:a )?(?:band )?gap\b|\bmetallic\b|\bconduct(?:s|ing|or)\b",
        _GAP,
        0.0,
        0.0,
    ),
    (r"\b(?:wide|large)[ -](?:band[ -]?)?gap\b|\binsulat(?:or|ors|ing)\b", _GAP, INSULATOR_EV, None),
    (r"\b(?:narrow|small)[ -](?:band[ -]?)?gap\b", _GAP, 0.1, 1.0),
    (r"\bsemiconduct(?:or|ors|ing)\b", _GAP, 0.1, INSULATOR_EV),
    (r"\b(?:meta|nearly |almost )stable\b|\bclose to the hull\b", _HULL, None, NEARLY_STABLE_EV_PER_ATOM),
    (r"\bstable\b|\bon the hull\b", _HULL, None, STABLE_EV_PER_ATOM),
)


def target_of_words(text: str) -> Target | None:
    """The target that a short text in plain English asks for, or None where rules find none.

    It knows elements by name, symbol and compound ("titanate"), formulas, crystal systems, space group
    numbers, ranges of properties, and words like "stable" or "insulating"; everything else is passed over.
    None, too, for texts of more than MAX_CHARACTERS, for those in the words of `describe_properties`
    (parts between semicolons), and where a text both wants and excludes an element.
    """
    if len(text) > MAX_CHARACTERS or ";" in text:
        return None
    target = Target(properties=_properties(text))
    rest, space_group = _space_group(text)
    rest, forbidden = _forbidden(rest)
    formula, elements = _composition(rest)
    if forbidden & elements:
        return None
    target.forbidden_elements.extend(sorted(forbidden))
    if formula:
        target.formula = formula
    else:
        target.required_elements.extend(sorted(elements))
    if space_group is not None:
        target.space_group_number = space_group
    elif found := _SYSTEM.search(text):
        target.crystal_system = CrystalSystem.Value(f"CRYSTAL_SYSTEM_{found.group(1).upper()}")
    return target if target.ByteSize() else None


def _space_group(text: str) -> tuple[str, int | None]:
    """The text without its space group, whose symbol has letters of elements; and its number."""
    found = _SPACE_GROUP.search(text)
    if found is None:
        return text, None
    named = found.group(1).rstrip(".")
    number = int(named) if named.isdecimal() else space_group_number_of_symbol(named)
    rest = f"{text[: found.start()]} {text[found.end() :]}"
    return rest, number if number is not None and 1 <= number <= SPACE_GROUPS else None


def _properties(text: str) -> list[PropertyRange]:
    ranges: dict[Property.ValueType, PropertyRange] = {}
    for name, words in _PROPERTY_WORDS.items():
        if (found := re.search(words, text, re.IGNORECASE)) and (
            bounds := _bounds_after(text, found.end()) or _bounds_before(text, found.start())
        ):
            ranges[name] = _property_range(name, *bounds)
    for words, name, low, high in _PHRASES:
        if name not in ranges and re.search(words, text, re.IGNORECASE):
            ranges[name] = _property_range(name, low, high)
    return [ranges[name] for name in sorted(ranges)]


def _bounds_after(text: str, start: int) -> tuple[float | None, float | None] | None:
    links = _LINKS.match(text, start)
    position = start if links is None else links.end()
    if found := _BETWEEN.match(text, position):
        low, high = sorted((float(found.group(1)), float(found.group(2))))
        return low, high
    if found := _AT_LEAST.match(text, position):
        return float(found.group(1)), None
    if found := _AT_MOST.match(text, position):
        return None, float(found.group(1))
    if found := _EXACTLY.match(text, position):
        return float(found.group(1)), float(found.group(1))
    return None


def _bounds_before(text: str, end: int) -> tuple[float | None, float | None] | None:
    """Of "a 2-4 eV gap"."""
    if found := re.search(rf"{_NUMBER}(?:\s*(?:to|-|–)\s*{_NUMBER})?\s*eV\s+$", text[:end]):
        low = float(found.group(1))
        high = low if found.group(2) is None else float(found.group(2))
        return min(low, high), max(low, high)
    return None


def _property_range(name: Property.ValueType, low: float | None, high: float | None) -> PropertyRange:
    bounds = PropertyRange(property=name)
    if low is not None:
        bounds.min = low
    if high is not None:
        bounds.max = high
    return bounds


def _forbidden(text: str) -> tuple[str, set[int]]:
    """The text without what it excludes, and the elements that it excludes."""
    forbidden: set[int] = set()
    for pattern in (_WITHOUT, _FREE):
        for found in list(pattern.finditer(text)):
            numbers = _numbers(_elements_of_words(found.group(1)))
            if numbers:
                forbidden |= numbers
                text = text.replace(found.group(0), " ")
    return text, forbidden


def _composition(text: str) -> tuple[str, set[int]]:
    """The first formula, or "", and all elements that are named."""
    formulas = [word for word in _words(text) if _is_formula(word)]
    if formulas:
        return formulas[0], _numbers(_SYMBOL.findall(formulas[0]))
    return "", _numbers(_elements_of_words(text))


def _is_formula(word: str) -> bool:
    if word in _ENGLISH or not _FORMULA.fullmatch(word):
        return False
    symbols = _SYMBOL.findall(word)
    has_amount = any(character.isdigit() for character in word)
    if len(set(symbols)) == 1 and not has_amount:
        return False
    try:
        reduced_formula_of_text(word)
    except InvalidFieldError:  # letters that are no elements, or nothing of any: "Li0"
        return False
    return True


def _elements_of_words(text: str) -> list[str]:
    symbols: list[str] = []
    for word in _words(text):
        lower = word.lower()
        singular = lower if lower in _ELEMENTS_BY_WORD else lower.removesuffix("s")
        if singular in _ELEMENTS_BY_WORD:
            symbols.extend(_ELEMENTS_BY_WORD[singular])
        elif word in ELEMENT_NAMES and word not in _ENGLISH:
            symbols.append(word)
    return symbols


def _words(text: str) -> list[str]:
    return [word.rstrip(".") for word in _WORD.findall(text)]


def _numbers(symbols: Iterable[str]) -> set[int]:
    return {ATOMIC_NUMBERS[symbol] for symbol in symbols}
