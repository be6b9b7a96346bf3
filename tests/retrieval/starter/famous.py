"""Compounds that somebody will look for first."""

from __future__ import annotations

from crystalmesh_common.crystal.composition import reduced_formula_of_text

_NAMES = """
    Li Na Mg Al Si Ge Cu Fe Au W C NaCl LiF KCl MgO CaO NiO TiN TiC TiO2 SiO2 SnO2 ZrO2 CeO2 UO2 Li2O
    ZnO ZnS CdTe CdS GaN AlN GaAs InP InAs BN SiC Al2O3 Fe2O3 Cr2O3 FeS2 MoS2 WSe2 TiS2 Bi2Te3 Bi2Se3
    PbTe PbS SnSe CuO Cu2O Li3N MgB2 LaB6 Fe3C SmCo5 LaNi5 Nb3Sn Ni3Al TiAl NiTi SrTiO3 BaTiO3 PbTiO3
    LiNbO3 BiFeO3 LaAlO3 CsPbI3 CsPbBr3 Cs2AgBiBr6 Cs2SnI6 CaCO3 LiCoO2 LiNiO2 LiMn2O4 LiFePO4 NaCoO2
    Li2MnO3 MgAl2O4 Fe3O4 Co3O4 CuInSe2 Cu2ZnSnS4 LaFeAsO MgCNi3 ZnFe2O4 TiNiSn ZrNiSn FePt CaWO4 BiVO4
    Ti3SiC2
    """.split()  # noqa: SIM905 -- a list of quoted strings reads worse


def famous_formulas() -> set[str]:
    """As a catalog prints them."""
    return {reduced_formula_of_text(name) for name in _NAMES}
