"""The structure types that have a name here: those that are common among known crystals."""

from __future__ import annotations

from typing import NamedTuple


class StructureType(NamedTuple):
    """A structure type by its symmetry."""

    name: str  # a mineral or a Strukturbericht symbol, "" for none; it names no element
    compound: str  # that the type is called after
    space_group_number: int
    # Per element the orbits that it takes, with their atoms in the primitive cell and their point group.
    sites: str
    # The different coordination numbers of atoms among nothing but anions, ascending. None: any.
    cation_coordination: tuple[int, ...] | None = None


STRUCTURE_TYPES: tuple[StructureType, ...] = tuple(
    StructureType(*row)
    for row in (
        # elements
        ("face-centred cubic", "Cu", 225, "1 m-3m"),
        ("body-centred cubic", "W", 229, "1 m-3m"),
        ("hexagonal close-packed", "Mg", 194, "2 -6m2"),
        ("double hexagonal close-packed", "La", 194, "2 -3m + 2 -6m2"),
        ("diamond", "C", 227, "2 -43m"),
        # AB
        ("rock salt", "NaCl", 225, "1 m-3m | 1 m-3m"),
        ("B2", "CsCl", 221, "1 m-3m | 1 m-3m"),
        ("zinc blende", "ZnS", 216, "1 -43m | 1 -43m"),
        ("wurtzite", "ZnS", 186, "2 3m | 2 3m", (4,)),
        ("nickeline", "NiAs", 194, "2 -6m2 | 2 -3m"),
        ("B_h", "WC", 187, "1 -6m2 | 1 -6m2"),
        ("B33", "CrB", 63, "2 m2m | 2 m2m"),
        ("L1_0", "CuAu", 123, "1 4/mmm | 1 4/mmm"),
        ("L1_1", "CuPt", 166, "1 -3m | 1 -3m"),
        ("litharge", "PbO", 129, "2 4mm | 2 -4m2"),
        ("B20", "FeSi", 198, "4 3 | 4 3"),
        ("B32", "NaTl", 227, "2 -43m | 2 -43m"),
        # AB2
        ("fluorite", "CaF2", 225, "1 m-3m | 2 -43m"),
        ("rutile", "TiO2", 136, "2 mmm | 4 m2m", (6,)),
        ("anatase", "TiO2", 141, "2 -4m2 | 4 2mm", (6,)),
        ("marcasite", "FeS2", 58, "2 2/m | 4 m", (6,)),
        ("pyrite", "FeS2", 205, "4 -3 | 8 3", (6,)),
        ("cotunnite", "PbCl2", 62, "4 m | 4 m + 4 m", (7,)),
        ("cotunnite", "PbCl2", 62, "4 m | 4 m + 4 m", (9,)),
        ("C37", "Co2Si", 62, "4 m | 4 m + 4 m"),
        ("baddeleyite", "ZrO2", 14, "4 1 | 4 1 + 4 1", (7,)),
        ("C6", "CdI2", 164, "1 -3m | 2 3m", (6,)),
        ("C19", "CdCl2", 166, "1 -3m | 2 3m", (6,)),
        ("molybdenite", "MoS2", 194, "2 -6m2 | 4 3m", (6,)),
        ("C11_b", "MoSi2", 139, "1 4/mmm | 2 4mm"),
        ("C16", "CuAl2", 140, "2 422 | 4 m2m"),
        ("C32", "AlB2", 191, "1 6/mmm | 2 -6m2"),
        ("C38", "Cu2Sb", 129, "2 -4m2 + 2 4mm | 2 4mm"),
        ("B8_2", "Ni2In", 194, "2 -6m2 | 2 -6m2 + 2 -3m"),
        ("beta-cristobalite", "SiO2", 227, "2 -43m | 4 -3m", (4,)),
        ("C15 Laves", "MgCu2", 227, "2 -43m | 4 -3m"),
        ("C14 Laves", "MgZn2", 194, "2 -3m + 6 mm2 | 4 3m"),
        ("C49", "ZrSi2", 63, "2 m2m | 2 m2m + 2 m2m"),
        ("C22", "Fe2P", 189, "1 -62m + 2 -6 | 3 m2m + 3 m2m"),
        ("", "KHg2", 74, "2 mm2 | 4 m"),
        # AB3 and beyond
        ("D0_9", "ReO3", 221, "1 m-3m | 3 4/mmm", (6,)),
        ("L1_2", "Cu3Au", 221, "1 m-3m | 3 4/mmm"),
        ("D0_3", "BiF3", 225, "1 m-3m | 1 m-3m + 2 -43m"),
        ("D0_19", "Ni3Sn", 194, "2 -6m2 | 6 mm2"),
        ("D0_22", "TiAl3", 139, "1 4/mmm | 1 4/mmm + 2 -4m2"),
        ("D0_5", "BiI3", 148, "2 3 | 6 1", (6,)),
        ("D0_18", "Na3As", 194, "2 -6m2 | 2 -6m2 + 4 3m"),
        ("A15", "Cr3Si", 223, "2 m-3 | 6 -42m"),
        ("cementite", "Fe3C", 62, "4 m | 4 m + 8 1"),
        ("skutterudite", "CoAs3", 204, "4 -3 | 12 m"),
        ("D1_3", "BaAl4", 139, "1 4/mmm | 2 -4m2 + 2 4mm"),
        ("D2_d", "CaCu5", 191, "1 6/mmm | 2 -6m2 + 3 mmm"),
        ("C15_b", "AuBe5", 216, "1 -43m | 1 -43m + 4 3m"),
        ("D2_1", "CaB6", 221, "1 m-3m | 6 4mm"),
        ("D2_b", "ThMn12", 139, "1 4/mmm | 4 m2m + 4 m2m + 4 2/m"),
        ("D2_3", "NaZn13", 226, "2 432 | 2 m-3 + 24 m"),
        # A2B3 and other ratios of two elements
        ("corundum", "Al2O3", 167, "4 3 | 6 2", (6,)),
        ("tetradymite", "Bi2Te2S", 166, "1 -3m + 2 3m | 2 3m"),
        ("bixbyite", "Mn2O3", 206, "4 -3 + 12 2 | 24 1"),
        ("stibnite", "Sb2S3", 62, "4 m + 4 m | 4 m + 4 m + 4 m"),
        ("D5_2", "La2O3", 164, "1 -3m + 2 3m | 2 3m"),
        ("D5_a", "U3Si2", 127, "2 4/m + 4 m2m | 4 m2m"),
        ("D7_3", "Th3P4", 220, "6 -4 | 8 3"),
        ("D8_8", "Mn5Si3", 193, "4 32 + 6 m2m | 6 m2m"),
        ("D8_m", "W5Si3", 140, "2 -42m + 8 m | 2 422 + 4 m2m"),
        ("D8_l", "Cr5B3", 140, "2 4/m + 8 m | 2 422 + 4 m2m"),
        # ABC
        ("half-Heusler", "MgAgAs", 216, "1 -43m | 1 -43m | 1 -43m"),
        ("matlockite", "PbFCl", 129, "2 -4m2 | 2 4mm | 2 4mm"),
        ("ullmannite", "NiSbS", 198, "4 3 | 4 3 | 4 3"),
        ("", "TiNiSi", 62, "4 m | 4 m | 4 m"),
        ("", "ZrNiAl", 189, "1 -62m + 2 -6 | 3 m2m | 3 m2m"),
        ("", "ZrBeSi", 194, "2 -6m2 | 2 -6m2 | 2 -3m"),
        ("", "LiGaGe", 186, "2 3m | 2 3m | 2 3m"),
        ("", "BaPtSb", 187, "1 -6m2 | 1 -6m2 | 1 -6m2"),
        ("", "LaPtSi", 109, "2 mm2 | 2 mm2 | 2 mm2"),
        # ABC2 and AB2C2
        ("Heusler", "Cu2MnAl", 225, "1 m-3m | 1 m-3m | 2 -43m"),
        ("inverse Heusler", "CuHg2Ti", 216, "1 -43m | 1 -43m | 1 -43m + 1 -43m"),
        ("chalcopyrite", "CuFeS2", 122, "2 -4 | 2 -4 | 4 2"),
        ("delafossite", "CuFeO2", 166, "1 -3m | 1 -3m | 2 3m", (2, 6)),
        ("caswellsilverite", "NaCrS2", 166, "1 -3m | 1 -3m | 2 3m", (6,)),
        ("hexagonal delafossite", "CuAlO2", 194, "2 -6m2 | 2 -3m | 4 3m", (2, 6)),
        ("", "RbScO2", 194, "2 -6m2 | 2 -3m | 4 3m", (6,)),
        ("MAX phase", "Cr2AlC", 194, "2 -6m2 | 2 -3m | 4 3m"),
        ("", "LiFeO2", 141, "2 -4m2 | 2 -4m2 | 4 2mm", (6,)),
        ("", "ThCr2Si2", 139, "1 4/mmm | 2 -4m2 | 2 4mm"),
        ("", "CaBe2Ge2", 129, "2 -4m2 + 2 4mm | 2 -4m2 + 2 4mm | 2 4mm"),
        ("", "CaAl2Si2", 164, "1 -3m | 2 3m | 2 3m"),
        ("", "Mo2FeB2", 127, "2 4/m | 4 m2m | 4 m2m"),
        ("", "CeNiSi2", 63, "2 m2m | 2 m2m | 2 m2m + 2 m2m"),
        # ABC3
        ("perovskite", "CaTiO3", 221, "1 m-3m | 1 m-3m | 3 4/mmm"),
        ("orthorhombic perovskite", "GdFeO3", 62, "4 -1 | 4 m | 4 m + 8 1"),
        ("polar tetragonal perovskite", "PbTiO3", 99, "1 4mm | 1 4mm | 1 4mm + 2 mm2"),
        ("rhombohedral perovskite", "LaAlO3", 167, "2 -3 | 2 32 | 6 2", (6, 12)),
        ("calcite", "CaCO3", 167, "2 -3 | 2 32 | 6 2", (3, 6)),
        ("ilmenite", "FeTiO3", 148, "2 3 | 2 3 | 6 1", (6,)),
        ("", "LiNbO3", 161, "2 3 | 2 3 | 6 1", (6,)),
        ("post-perovskite", "CaIrO3", 63, "2 2/m | 2 m2m | 2 m2m + 4 m"),
        ("hexagonal perovskite", "BaNiO3", 194, "2 -6m2 | 2 -3m | 6 mm2"),
        ("", "BaNiSn3", 107, "1 4mm | 1 4mm | 1 4mm + 2 mm2"),
        # ABC4
        ("spinel", "MgAl2O4", 227, "2 -43m | 4 -3m | 8 3m"),
        ("zircon", "ZrSiO4", 141, "2 -4m2 | 2 -4m2 | 8 m"),
        ("scheelite", "CaWO4", 88, "2 -4 | 2 -4 | 8 1"),
        ("olivine", "Mg2SiO4", 62, "4 -1 + 4 m | 4 m | 4 m + 4 m + 8 1"),
        ("ordered olivine", "LiFePO4", 62, "4 -1 | 4 m | 4 m | 4 m + 4 m + 8 1"),
        ("layered perovskite", "K2NiF4", 139, "1 4/mmm | 2 4mm | 2 4mm + 2 mmm"),
        ("stannite", "Cu2FeSnS4", 121, "1 -42m | 1 -42m | 2 -4 | 4 m"),
        ("kesterite", "Cu2ZnSnS4", 82, "1 -4 | 1 -4 | 1 -4 + 1 -4 | 4 1"),
        ("", "MgCu4Sn", 216, "1 -43m | 1 -43m | 4 3m"),
        # larger formulas
        ("", "HoCoGa5", 123, "1 4/mmm | 1 4/mmm | 1 4/mmm + 4 mm2"),
        ("elpasolite", "K2NaAlF6", 225, "1 m-3m | 1 m-3m | 2 -43m | 6 4mm"),
        ("monoclinic double perovskite", "La2MgIrO6", 14, "2 -1 | 2 -1 | 4 1 | 4 1 + 4 1 + 4 1"),
        ("", "Sr2CuWO6", 87, "1 4/m | 1 4/m | 2 -4 | 2 4 + 4 m"),
        ("trirutile", "ZnSb2O6", 136, "2 mmm | 4 m2m | 4 m2m + 8 m", (6,)),
        ("", "LiSbF6", 148, "1 -3 | 1 -3 | 6 1", (6,)),
        ("", "KZrCuS3", 63, "2 2/m | 2 m2m | 2 m2m | 2 m2m + 4 m"),
        ("", "Y3Au3Sb4", 220, "6 -4 | 6 -4 | 8 3"),
        ("cryolite", "Na3AlF6", 14, "2 -1 | 2 -1 + 4 1 | 4 1 + 4 1 + 4 1"),
        ("J2_1", "(NH4)3FeF6", 225, "1 m-3m | 1 m-3m + 2 -43m | 6 4mm"),
        ("J1_1", "K2PtCl6", 225, "1 m-3m | 2 -43m | 6 4mm"),
        ("filled skutterudite", "LaFe4P12", 204, "1 m-3 | 4 -3 | 12 m"),
        ("A-site ordered perovskite", "CaCu3Ti4O12", 204, "1 m-3 | 3 mmm | 4 -3 | 12 m"),
        ("", "Hf5CuSn3", 193, "2 -3m | 4 32 + 6 m2m | 6 m2m"),
        ("", "HfFe6Ge6", 191, "1 6/mmm | 2 -6m2 + 2 -6m2 + 2 6mm | 6 mm2"),
        ("", "CeCo3B2", 191, "1 6/mmm | 2 -6m2 | 3 mmm"),
        ("", "ZrCuSiAs", 129, "2 -4m2 | 2 -4m2 | 2 4mm | 2 4mm"),
        ("pyrochlore", "Ca2Nb2O7", 227, "2 -43m + 12 mm2 | 4 -3m | 4 -3m"),
        ("garnet", "Ca3Al2Si3O12", 230, "8 -3 | 12 222 | 12 -4 | 48 1"),
    )
)
"""In order of preference: of two types on the same sites, the first that fits is taken."""
