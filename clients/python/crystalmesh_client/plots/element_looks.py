"""How elements look in pictures of crystals: a colour that chemists expect, and a size."""

from __future__ import annotations

from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER

# As is the custom where there is one (white hydrogen, red oxygen, yellow sulfur, copper, gold); elsewhere
# neighbours in a group share a family of colours, and those that often meet in one crystal differ.
_COLOURS = """
    f4f4f4 d9ffff b57edc 9fd356 f2a58e 5a5a5a 3d6ef0 e8321f 8fd14f 9fe3ef
    a463d8 57c23a b9a3a8 e3b98a f08a24 f2d024 35c435 7fd0e0 7d49c2 2fae4e
    d8d8e0 8f9bb3 7f8fa6 6f86c9 9a6fc4 c9652f e8799d 3fae8c c8803a 7c82b4
    bf8a86 6f9a94 b77be0 f29f1f a8392b 63b7d6 6b35a8 1fa97a 8ce0da 7fc7cf
    6ebad0 52a5b4 3b9aa3 318f96 2b7e9c 3a7f93 b8bcc4 e8c26a a2756f 7c8a8f
    9a63b5 c9771a 8a1fa0 4aa0c0 581d93 12a06a 58b9e8 f5ecae d4f0a8 b6ecb4
    a0eec2 88edc8 66e0c2 4fe0cf 38d8cc 28cfd0 1fc6b8 18bfa2 14b98a 14ae66
    10a040 58b5f0 4f9df2 2f86cf 3377aa 2f6690 2a5a86 c3c7cf f2c530 a9b4c9
    a3585c 5b6a72 9b56b0 a8621a 7a4f3a 5a8fa8 45108a 0f8f4f 74b4f0 3fb0f0
    2f9bef 2488e8 2a76d8 3060d0 4a5fe0 6a58d8 7e52d4 9248d0 9f3fc8 a836b8
    ac2fa0 b02a88 b62468 bb1f52 c01c44 c4183a c81432 cc102c d00c28 d40a26
    d80824 dc0622 e00520 e2041f e4031e e6021d e8011c ea001b
""".split()  # noqa: SIM905 -- a table of 118 quoted strings reads worse

# Single-bond covalent radii in pm, rounded (Cordero et al. 2008; beyond curium taken as 160).
_RADII_PM = """
    31 28 128 96 84 76 71 66 57 58 166 141 121 111 107 105 102 106 203 176
    170 160 153 139 139 132 126 124 132 122 122 120 119 120 120 116 220 195 190 175
    164 154 147 146 142 139 145 144 142 139 139 138 139 140 244 215 207 204 203 201
    199 198 198 196 194 192 192 189 190 187 187 175 170 162 151 144 141 136 136 132
    145 146 148 140 150 150 260 221 215 206 200 196 190 187 180 169
""".split()  # noqa: SIM905 -- likewise

_UNKNOWN_COLOUR = "ff4fa8"
_UNKNOWN_RADIUS_ANGSTROM = 1.6

_NONMETALS = frozenset({1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 33, 34, 35, 36, 52, 53, 54, 85, 86})
_LARGE_CATIONS = frozenset({3, 11, 19, 37, 55, 87, 20, 38, 56, 88, *range(57, 72)})


def colour_of(atomic_number: int) -> str:
    """The colour of an element as six hexadecimal digits; pink for what is none."""
    if 1 <= atomic_number <= MAX_ATOMIC_NUMBER:
        return _COLOURS[atomic_number - 1]
    return _UNKNOWN_COLOUR


def covalent_radius_angstrom(atomic_number: int) -> float:
    """How far its bonds reach."""
    if 1 <= atomic_number <= len(_RADII_PM):
        return int(_RADII_PM[atomic_number - 1]) / 100
    return _UNKNOWN_RADIUS_ANGSTROM


def drawn_radius_angstrom(atomic_number: int) -> float:
    """The radius of its ball: larger for larger atoms, and small enough to see between them."""
    return 0.22 + 0.26 * covalent_radius_angstrom(atomic_number)


def is_nonmetal(atomic_number: int) -> bool:
    """Whether it may be the anion of a compound."""
    return atomic_number in _NONMETALS


def is_large_cation(atomic_number: int) -> bool:
    """Whether it sits in the holes of a framework, where lines to all of its neighbours only cover it."""
    return atomic_number in _LARGE_CATIONS
