"""Structure types that pymatgen's copy of the AFLOW library lacks, as crystallography tables give them.

Cells and coordinates are those of the compound that the type is called after, from the common literature.
"""

from __future__ import annotations

from typing import NamedTuple

Site = tuple[str, float, float, float]


class TypeRecord(NamedTuple):
    """A structure type in the setting of its space group symbol."""

    label: str  # as AFLOW would: stoichiometry, Pearson symbol, space group
    name: str
    space_group: str  # with ":2" for the second origin
    cell: tuple[float, float, float, float, float, float]  # a, b, c in Å, alpha, beta, gamma in degrees
    atoms: int  # in this cell, to check the setting by
    sites: tuple[Site, ...]


def _cubic(a: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, a, 90.0, 90.0, 90.0)


def _tetragonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, c, 90.0, 90.0, 90.0)


def _hexagonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, c, 90.0, 90.0, 120.0)


_T, _TT = 1 / 3, 2 / 3

STRUCTURE_TYPES: tuple[TypeRecord, ...] = (
    TypeRecord("A_hP4_194", "hydrogen", "P6_3/mmc", _hexagonal(3.75, 6.1), 4, (("H", _T, _TT, 0.3105),)),
    TypeRecord(
        "AB2_hR3_166", "CdCl2", "R-3m", _hexagonal(3.85, 17.46), 9, (("Cd", 0, 0, 0), ("Cl", 0, 0, 0.25))
    ),
    TypeRecord(
        "AB4_cP5_221",
        "Fe4N",
        "Pm-3m",
        _cubic(3.79),
        5,
        (("N", 0.5, 0.5, 0.5), ("Fe", 0, 0, 0), ("Fe", 0, 0.5, 0.5)),
    ),
    TypeRecord(
        "A2B_tI12_141",
        "TiO2 (anatase)",
        "I4_1/amd",
        _tetragonal(3.785, 9.514),
        12,
        (("Ti", 0, 0, 0), ("O", 0, 0, 0.208)),
    ),
    TypeRecord(
        "AB_tI8_109", "TaAs", "I4_1md", _tetragonal(3.437, 11.656), 8, (("Ta", 0, 0, 0), ("As", 0, 0, 0.417))
    ),
    TypeRecord(
        "A2B3_hP5_164",
        "La2O3",
        "P-3m1",
        _hexagonal(3.94, 6.13),
        5,
        (("La", _T, _TT, 0.245), ("O", 0, 0, 0), ("O", _T, _TT, 0.645)),
    ),
    TypeRecord(
        "A3B4_cI28_220",
        "Th3P4",
        "I-43d",
        _cubic(8.62),
        28,
        (("Th", 0.375, 0, 0.25), ("P", 0.083, 0.083, 0.083)),
    ),
    TypeRecord(
        "AB_hP8_194",
        "GaSe",
        "P6_3/mmc",
        _hexagonal(3.75, 15.95),
        8,
        (("Ga", _T, _TT, 0.173), ("Se", _T, _TT, 0.602)),
    ),
    TypeRecord(
        "AB2_tP6_137", "HgI2", "P4_2/nmc", _tetragonal(4.36, 12.44), 6, (("Hg", 0, 0, 0), ("I", 0, 0.5, 0.14))
    ),
    TypeRecord(
        "AB4_tI10_139",
        "SnF4",
        "I4/mmm",
        _tetragonal(4.05, 7.93),
        10,
        (("Sn", 0, 0, 0), ("F", 0, 0.5, 0), ("F", 0, 0, 0.237)),
    ),
    TypeRecord(
        "AB3_hP8_176",
        "UCl3",
        "P6_3/m",
        _hexagonal(7.48, 4.38),
        8,
        (("U", _T, _TT, 0.25), ("Cl", 0.386, 0.301, 0.25)),
    ),
    TypeRecord("A2B_cP12_205", "CO2", "Pa-3", _cubic(5.62), 12, (("C", 0, 0, 0), ("O", 0.118, 0.118, 0.118))),
    TypeRecord(
        "A2B5_oP14_59",
        "V2O5",
        "Pmmn:2",
        (11.51, 3.564, 4.368, 90.0, 90.0, 90.0),
        14,
        (
            ("V", 0.1012, 0.25, 0.8917),
            ("O", 0.1043, 0.25, 0.531),
            ("O", 0.9311, 0.25, 0.003),
            ("O", 0.25, 0.25, 0.001),
        ),
    ),
    TypeRecord(
        "ABC2_hR4_166",
        "CuAlO2 (delafossite)",
        "R-3m",
        _hexagonal(2.857, 16.94),
        12,
        (("Cu", 0, 0, 0), ("Al", 0, 0, 0.5), ("O", 0, 0, 0.11)),
    ),
    TypeRecord(
        "ABC_hP3_156",
        "BiTeI",
        "P3m1",
        _hexagonal(4.34, 6.85),
        3,
        (("Bi", 0, 0, 0), ("Te", _TT, _T, 0.69), ("I", _T, _TT, 0.25)),
    ),
    TypeRecord(
        "ABC_cP12_198",
        "NiSbS (ullmannite)",
        "P2_13",
        _cubic(5.88),
        12,
        (("Ni", 0.976, 0.976, 0.976), ("Sb", 0.625, 0.625, 0.625), ("S", 0.39, 0.39, 0.39)),
    ),
    TypeRecord(
        "ABC_oP12_62",
        "TiNiSi",
        "Pnma",
        (6.148, 3.67, 7.017, 90.0, 90.0, 90.0),
        12,
        (("Ti", 0.0212, 0.25, 0.1803), ("Ni", 0.142, 0.25, 0.5609), ("Si", 0.7651, 0.25, 0.6229)),
    ),
    TypeRecord(
        "ABC_hP9_189",
        "ZrNiAl",
        "P-62m",
        _hexagonal(6.915, 3.466),
        9,
        (("Zr", 0.591, 0, 0.5), ("Ni", _T, _TT, 0), ("Ni", 0, 0, 0.5), ("Al", 0.25, 0, 0)),
    ),
    TypeRecord(
        "AB2C2_tI10_139",
        "ThCr2Si2",
        "I4/mmm",
        _tetragonal(4.04, 10.57),
        10,
        (("Th", 0, 0, 0), ("Cr", 0, 0.5, 0.25), ("Si", 0, 0, 0.374)),
    ),
    TypeRecord(
        "AB2C2_hP5_164",
        "CaAl2Si2",
        "P-3m1",
        _hexagonal(4.13, 7.14),
        5,
        (("Ca", 0, 0, 0), ("Al", _T, _TT, 0.63), ("Si", _T, _TT, 0.27)),
    ),
    TypeRecord(
        "A2BC_cF16_216",
        "CuHg2Ti (inverse Heusler)",
        "F-43m",
        _cubic(6.1),
        16,
        (("Hg", 0, 0, 0), ("Hg", 0.25, 0.25, 0.25), ("Cu", 0.5, 0.5, 0.5), ("Ti", 0.75, 0.75, 0.75)),
    ),
    TypeRecord(
        "ABC3_hR5_160",
        "BaTiO3 (rhombohedral)",
        "R3m",
        _hexagonal(5.66, 6.95),
        15,
        (("Ba", 0, 0, 0), ("Ti", 0, 0, 0.487), ("O", 0.512, 0.488, 0.019)),
    ),
    TypeRecord(
        "ABC3_hR10_167",
        "LaAlO3",
        "R-3c",
        _hexagonal(5.36, 13.11),
        30,
        (("La", 0, 0, 0.25), ("Al", 0, 0, 0), ("O", 0.53, 0, 0.25)),
    ),
    TypeRecord(
        "ABC3_hP10_194",
        "BaNiO3",
        "P6_3/mmc",
        _hexagonal(5.63, 4.81),
        10,
        (("Ba", _T, _TT, 0.75), ("Ni", 0, 0, 0), ("O", 0.1462, 0.2924, 0.25)),
    ),
    TypeRecord(
        "A3BC2_hP12_194",
        "Ti3SiC2 (MAX phase)",
        "P6_3/mmc",
        _hexagonal(3.068, 17.67),
        12,
        (("Ti", 0, 0, 0), ("Ti", _T, _TT, 0.1355), ("Si", 0, 0, 0.25), ("C", _T, _TT, 0.5722)),
    ),
    TypeRecord(
        "AB2C2_hP5_164-b",
        "Mg(OH)2 (brucite)",
        "P-3m1",
        _hexagonal(3.15, 4.77),
        5,
        (("Mg", 0, 0, 0), ("O", _T, _TT, 0.22), ("H", _T, _TT, 0.42)),
    ),
    TypeRecord(
        "ABC_tP6_129",
        "LiOH",
        "P4/nmm:2",
        _tetragonal(3.55, 4.33),
        6,
        (("Li", 0.75, 0.25, 0), ("O", 0.25, 0.25, 0.194), ("H", 0.25, 0.25, 0.41)),
    ),
    TypeRecord(
        "A2BC6_cF36_225",
        "K2PtCl6",
        "Fm-3m",
        _cubic(9.75),
        36,
        (("K", 0.25, 0.25, 0.25), ("Pt", 0, 0, 0), ("Cl", 0.24, 0, 0)),
    ),
    TypeRecord(
        "A2BCD6_cF40_225",
        "K2NaAlF6 (elpasolite)",
        "Fm-3m",
        _cubic(8.12),
        40,
        (("K", 0.25, 0.25, 0.25), ("Na", 0.5, 0.5, 0.5), ("Al", 0, 0, 0), ("F", 0.22, 0, 0)),
    ),
    TypeRecord(
        "ABC4_tI24_88",
        "CaWO4 (scheelite)",
        "I4_1/a",
        _tetragonal(5.243, 11.376),
        24,
        (("Ca", 0, 0, 0.5), ("W", 0, 0, 0), ("O", 0.241, 0.151, 0.0861)),
    ),
    TypeRecord(
        "A2BCD4_tI16_82",
        "Cu2ZnSnS4 (kesterite)",
        "I-4",
        _tetragonal(5.43, 10.86),
        16,
        (
            ("Cu", 0, 0, 0),
            ("Cu", 0, 0.5, 0.25),
            ("Zn", 0, 0.5, 0.75),
            ("Sn", 0, 0, 0.5),
            ("S", 0.755, 0.757, 0.871),
        ),
    ),
    TypeRecord(
        "A2BC3_mC24_12",
        "Li2MnO3",
        "C2/m",
        (4.937, 8.532, 5.03, 90.0, 109.46, 90.0),
        24,
        (
            ("Li", 0, 0.5, 0),
            ("Li", 0, 0, 0.5),
            ("Li", 0, 0.661, 0.5),
            ("Mn", 0, 0.167, 0),
            ("O", 0.219, 0, 0.227),
            ("O", 0.254, 0.321, 0.223),
        ),
    ),
    TypeRecord(
        "ABCD4_oP28_62",
        "LiFePO4 (olivine)",
        "Pnma",
        (10.33, 6.01, 4.69, 90.0, 90.0, 90.0),
        28,
        (
            ("Li", 0, 0, 0),
            ("Fe", 0.2822, 0.25, 0.9747),
            ("P", 0.0948, 0.25, 0.4182),
            ("O", 0.0968, 0.25, 0.7428),
            ("O", 0.4571, 0.25, 0.2060),
            ("O", 0.1656, 0.0465, 0.2848),
        ),
    ),
    TypeRecord(
        "A2BC4_oP28_62",
        "Mg2SiO4 (olivine)",
        "Pnma",
        (10.2, 5.98, 4.76, 90.0, 90.0, 90.0),
        28,
        (
            ("Mg", 0, 0, 0),
            ("Mg", 0.2774, 0.25, 0.9915),
            ("Si", 0.094, 0.25, 0.4262),
            ("O", 0.0913, 0.25, 0.7657),
            ("O", 0.4474, 0.25, 0.2215),
            ("O", 0.1628, 0.0331, 0.2777),
        ),
    ),
    TypeRecord(
        "ABC3_oP20_62",
        "GdFeO3 (orthorhombic perovskite)",
        "Pnma",
        (5.61, 7.67, 5.35, 90.0, 90.0, 90.0),
        20,
        (("Gd", 0.06, 0.25, 0.984), ("Fe", 0, 0, 0.5), ("O", 0.467, 0.25, 0.1), ("O", 0.3, 0.05, 0.695)),
    ),
)
