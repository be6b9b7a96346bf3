"""The words of our own language model: each number, element and term is one token.

An atom of ALX is four tokens, a crystal of ten atoms 46, five to ten times fewer than in pieces of words.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from crystalmesh_common.crystal.description.shapes import shape_names
from crystalmesh_common.crystal.description.structure_types import STRUCTURE_TYPES
from crystalmesh_common.crystal.elements import SYMBOLS
from crystalmesh_common.crystal.symmetry import SPACE_GROUPS, space_group_symbol

PAD, BEGIN, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
TARGET, REFERENCE, TRANSITION, CRYSTAL, BLANK, FACTS = (
    "<target>",
    "<reference>",
    "<transition>",
    "<crystal>",
    "<blank>",
    "<facts>",
)
SPECIAL = (PAD, BEGIN, END, UNKNOWN, TARGET, REFERENCE, TRANSITION, CRYSTAL, BLANK, FACTS)
"""Words that part the conversation. No text of a caller may contain them: see `plain` and `known_words`."""

LENGTHS = tuple(f"{tenths / 10:.1f}" for tenths in range(600))
ANGLES = tuple(str(angle) for angle in range(5, 176))
COORDINATES = tuple(f"{hundredths / 100:.2f}" for hundredths in range(100))
ELEMENTS = SYMBOLS[:103]

MAX_WHOLE = 600
MAX_CHANGE_PERCENT = 99
MAX_NEGATIVE = 9.9

_TERMS = """
    ; , . : to at least most and as by from with without made of is than since so far near
    formula elements space group text atoms primitive cell formation energy band gap above hull bulk shear
    modulus magnetization density triclinic monoclinic orthorhombic tetragonal trigonal hexagonal cubic
    becomes same new prototype kept composition volume per atom a b c alpha beta gamma changes
    rises falls keeps metal semiconductor insulator magnetic charges balance balanced not all metals
    electronegative more less similar ionic covalent larger smaller stable unstable hard soft stiff wide
    narrow neighbours no layered chains molecules framework oxide sulfide selenide telluride nitride
    fluoride chloride bromide iodide hydride carbide intermetallic compound element material crystal
    structure type reference opens closes electrons light heavy dense
"""


def all_words() -> list[str]:
    """Every word once, the special ones first; a word's position is its token."""
    return list(dict.fromkeys(chain(SPECIAL, _numbers(), ELEMENTS, _symmetries(), _TERMS.split(), _shapes())))


def _numbers() -> Iterator[str]:
    yield from LENGTHS
    yield from COORDINATES
    yield from (str(number) for number in range(MAX_WHOLE + 1))
    yield from (f"-{tenths / 10:.1f}" for tenths in range(1, 100))
    yield from (f"{percent:+d}" for percent in range(-MAX_CHANGE_PERCENT, MAX_CHANGE_PERCENT + 1))


def _symmetries() -> Iterator[str]:
    yield from (space_group_symbol(number) for number in range(1, SPACE_GROUPS + 1))


def _shapes() -> Iterator[str]:
    for name in chain(shape_names(), (known.name for known in STRUCTURE_TYPES)):
        yield from name.split()
    yield "distorted"
