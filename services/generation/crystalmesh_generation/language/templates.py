"""The conversation: how target, reference, transition, crystal and facts are laid out. All of it is here.

    <s> <target> … <reference> … <transition> … <crystal> ALX <blank> … <crystal> ALX </s>
    <s> <crystal> ALX <facts> … </s>

The first crystal is the reference, the second the new one. Blanks fill the first up to one of three lengths,
so that a new word stands at one of three distances from the one that it is copied or changed from: attention
goes to distances more easily than to places. Reference and transition may be missing. The model writes the
transition, is given the reference's crystal, and writes the new one. Values are asked where a crystal ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.symmetry import space_group_symbol
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.alx import ATOM_WORDS, CELL_WORDS
from crystalmesh_generation.language.portrait import Environment, Portrait, by_electronegativity
from crystalmesh_generation.language.prose import known_words
from crystalmesh_generation.language.words import (
    BEGIN,
    BLANK,
    CRYSTAL,
    FACTS,
    MAX_NEGATIVE,
    MAX_WHOLE,
    REFERENCE,
    TARGET,
    TRANSITION,
)

MAX_TEXT_WORDS = 40
"""Of a caller's free text; more would crowd out the crystals."""

_KNOWN_WORDS = tuple(CELL_WORDS + ATOM_WORDS * atoms for atoms in (5, 10, 20))
_MARKS = frozenset(";,.:")
_WHOLE, _TENTHS, _HUNDREDTHS = 0, 1, 2
_PROPERTIES: Mapping[str, tuple[str, int]] = {
    "formation_energy_ev_per_atom": ("formation energy", _TENTHS),
    "band_gap_ev": ("band gap", _TENTHS),
    "energy_above_hull_ev_per_atom": ("energy above hull", _HUNDREDTHS),
    "bulk_modulus_gpa": ("bulk modulus", _WHOLE),
    "shear_modulus_gpa": ("shear modulus", _WHOLE),
    "magnetization_mu_b_per_cubic_angstrom": ("magnetization", _HUNDREDTHS),
    "density_g_per_cubic_centimeter": ("density", _TENTHS),
    "atoms_in_cell": ("atoms", _WHOLE),
}
_MODULUS_STEP = 5


def opening(aim: Aim, reference: Portrait | None = None) -> str:
    """How every conversation on a new crystal begins: what is asked for, and from what to start in words."""
    start = "" if reference is None else f"{REFERENCE} {description(reference)}"
    return _joined([BEGIN, target_part(aim), start])


def transition_prompt(opening: str) -> str:
    """What comes before a transition, which ends with `<crystal>`."""
    return _joined([opening, TRANSITION])


def crystal_prompt(opening: str, known: str = "", transition: str = "") -> str:
    """What comes before a new crystal; `known` is the reference's ALX."""
    said = f"{TRANSITION} {transition}" if transition else ""
    return _joined([opening, said, known_part(known) if known else "", CRYSTAL])


def known_part(alx: str) -> str:
    """The reference's crystal, filled up with blanks."""
    words = alx.split()
    length = next((length for length in _KNOWN_WORDS if length >= len(words)), len(words))
    return _joined([CRYSTAL, *words, *[BLANK] * (length - len(words))])


def facts_prompt(alx: str) -> str:
    """What comes before facts; at its last word all of the crystal has been read."""
    return _joined([BEGIN, CRYSTAL, *alx.split(), FACTS])


def target_part(aim: Aim) -> str:
    """What is asked for."""
    return _joined([TARGET, " ; ".join(_target_phrases(aim))])


def description(portrait: Portrait) -> str:
    """A material in words: "Na 1 Cl 1 ; Fm-3m rock salt ; Na octahedron 6 Cl ; Cl octahedron 6 Na"."""
    phrases = [counted(portrait.composition), f"{portrait.space_group_symbol} {portrait.structure_type}"]
    phrases += [environment_phrase(each) for each in portrait.environments]
    known = {name: Range(value, value) for name, value in portrait.properties.items()}
    return " ; ".join(phrase.strip() for phrase in [*phrases, *range_phrases(known)])


def environment_phrase(environment: Environment) -> str:
    """What an element has around it: "Ti octahedron 6 O"."""
    ligands = [symbol_of(number) for number in environment.ligands]
    return _joined(
        [symbol_of(environment.number), environment.shape, str(environment.coordination), *ligands]
    )


def counted(composition: Composition) -> str:
    """A composition: "Ti 1 O 2"."""
    return _joined(f"{symbol_of(number)} {min(count, MAX_WHOLE)}" for number, count in composition)


def range_phrases(ranges: Mapping[str, Range]) -> list[str]:
    """Values and ranges in the order of the API: "band gap 2.0 to 4.0", "energy above hull at most 0.05"."""
    return [
        f"{words} {_range_words(name, ranges[name])}"
        for name, (words, _) in _PROPERTIES.items()
        if name in ranges
    ]


def amount(name: str, value: float) -> str:
    """A property's value as one word, at the end of the scale where it is beyond it."""
    decimals = _PROPERTIES[name][1]
    if decimals == _WHOLE:
        step = _MODULUS_STEP if name.endswith("modulus_gpa") else 1
        return str(int(min(max(0, round(value / step) * step), MAX_WHOLE)))
    if decimals == _HUNDREDTHS:
        return f"{min(max(0.0, value), 0.99):.2f}"
    rounded = round(min(max(-MAX_NEGATIVE, value), 59.9), 1)
    return f"{rounded + 0.0:.1f}"


def plain(text: str) -> list[str]:
    """A caller's text as words that the model knows and that can neither open nor close anything."""
    return [word for word in known_words(text, MAX_TEXT_WORDS) if word not in _MARKS]


def _target_phrases(aim: Aim) -> Iterator[str]:
    if aim.formula:
        yield f"formula {counted(by_electronegativity(aim.formula))}"
    for word, numbers in (
        ("elements", aim.elements),
        ("with", aim.required),
        ("made of", aim.allowed),
        ("without", aim.forbidden),
    ):
        if numbers:
            yield f"{word} {_symbols(numbers)}"
    if aim.space_group_number is not None:
        yield f"space group {space_group_symbol(aim.space_group_number)}"
    elif aim.crystal_system:
        yield aim.crystal_system
    yield from range_phrases(aim.ranges)
    if words := plain(aim.text):
        yield f"text {' '.join(words)}"


def _symbols(numbers: Iterable[int]) -> str:
    ordered = by_electronegativity(tuple((number, 1) for number in numbers))
    return " ".join(symbol_of(number) for number, _ in ordered)


def _range_words(name: str, wanted: Range) -> str:
    low = None if wanted.min is None else amount(name, wanted.min)
    high = None if wanted.max is None else amount(name, wanted.max)
    if low == high:
        return f"{low}"
    if high is None:
        return f"at least {low}"
    if low is None:
        return f"at most {high}"
    return f"{low} to {high}"


def _joined(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)
