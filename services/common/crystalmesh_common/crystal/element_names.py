"""Elements and their compounds as people call them."""

from __future__ import annotations

from collections.abc import Mapping

ELEMENT_NAMES: Mapping[str, str] = {
    "H": "hydrogen", "He": "helium", "Li": "lithium", "Be": "beryllium", "B": "boron", "C": "carbon",
    "N": "nitrogen", "O": "oxygen", "F": "fluorine", "Ne": "neon", "Na": "sodium", "Mg": "magnesium",
    "Al": "aluminium", "Si": "silicon", "P": "phosphorus", "S": "sulfur", "Cl": "chlorine", "Ar": "argon",
    "K": "potassium", "Ca": "calcium", "Sc": "scandium", "Ti": "titanium", "V": "vanadium", "Cr": "chromium",
    "Mn": "manganese", "Fe": "iron", "Co": "cobalt", "Ni": "nickel", "Cu": "copper", "Zn": "zinc",
    "Ga": "gallium", "Ge": "germanium", "As": "arsenic", "Se": "selenium", "Br": "bromine", "Kr": "krypton",
    "Rb": "rubidium", "Sr": "strontium", "Y": "yttrium", "Zr": "zirconium", "Nb": "niobium",
    "Mo": "molybdenum", "Tc": "technetium", "Ru": "ruthenium", "Rh": "rhodium", "Pd": "palladium",
    "Ag": "silver", "Cd": "cadmium", "In": "indium", "Sn": "tin", "Sb": "antimony", "Te": "tellurium",
    "I": "iodine", "Xe": "xenon", "Cs": "caesium", "Ba": "barium", "La": "lanthanum", "Ce": "cerium",
    "Pr": "praseodymium", "Nd": "neodymium", "Pm": "promethium", "Sm": "samarium", "Eu": "europium",
    "Gd": "gadolinium", "Tb": "terbium", "Dy": "dysprosium", "Ho": "holmium", "Er": "erbium",
    "Tm": "thulium", "Yb": "ytterbium", "Lu": "lutetium", "Hf": "hafnium", "Ta": "tantalum",
    "W": "tungsten", "Re": "rhenium", "Os": "osmium", "Ir": "iridium", "Pt": "platinum", "Au": "gold",
    "Hg": "mercury", "Tl": "thallium", "Pb": "lead", "Bi": "bismuth", "Ac": "actinium", "Th": "thorium",
    "Pa": "protactinium", "U": "uranium", "Np": "neptunium", "Pu": "plutonium",
}  # fmt: skip
"""The name of each element that catalogs have, by its symbol."""

OTHER_ELEMENT_NAMES: Mapping[str, str] = {"Al": "aluminum", "Cs": "cesium", "S": "sulphur", "W": "wolfram"}

ANION_NAMES: Mapping[str, str] = {
    "O": "oxide", "N": "nitride", "F": "fluoride", "Cl": "chloride", "Br": "bromide", "I": "iodide",
    "S": "sulfide", "Se": "selenide", "Te": "telluride", "C": "carbide", "P": "phosphide", "As": "arsenide",
    "Sb": "antimonide", "B": "boride", "Si": "silicide", "H": "hydride", "Ge": "germanide",
}  # fmt: skip
"""What compounds are called in which an element is the anion."""

COMPOUND_NAMES: Mapping[str, tuple[str, ...]] = {
    "sulphide": ("S",), "hydroxide": ("O", "H"), "peroxide": ("O",), "phosphate": ("P", "O"),
    "sulfate": ("S", "O"), "sulphate": ("S", "O"), "silicate": ("Si", "O"), "carbonate": ("C", "O"),
    "nitrate": ("N", "O"), "borate": ("B", "O"), "germanate": ("Ge", "O"), "arsenate": ("As", "O"),
    "aluminate": ("Al", "O"), "titanate": ("Ti", "O"), "zirconate": ("Zr", "O"), "hafnate": ("Hf", "O"),
    "vanadate": ("V", "O"), "niobate": ("Nb", "O"), "tantalate": ("Ta", "O"), "chromate": ("Cr", "O"),
    "molybdate": ("Mo", "O"), "tungstate": ("W", "O"), "manganate": ("Mn", "O"), "manganite": ("Mn", "O"),
    "ferrite": ("Fe", "O"), "cobaltate": ("Co", "O"), "nickelate": ("Ni", "O"), "cuprate": ("Cu", "O"),
    "zincate": ("Zn", "O"), "gallate": ("Ga", "O"), "stannate": ("Sn", "O"), "bismuthate": ("Bi", "O"),
    "ruthenate": ("Ru", "O"), "iridate": ("Ir", "O"), "oxynitride": ("O", "N"), "oxyfluoride": ("O", "F"),
    "oxysulfide": ("O", "S"), "oxychloride": ("O", "Cl"), "carbonitride": ("C", "N"),
}  # fmt: skip
"""The elements that a compound's name brings along, besides those that it is of."""
