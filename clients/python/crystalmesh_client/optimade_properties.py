"""The properties of exported structures as OPTIMADE defines properties: names, types, units, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OPTIMADE_VERSION = "1.2.0"
PREFIX = "_crystalmesh_"
"""What names of our own begin with. The prefix is not in OPTIMADE's list of providers."""

_SCHEMA = "https://schemas.optimade.org/meta/v1.2/optimade/property_definition.json"
_STANDARD = "https://schemas.optimade.org/defs/v1.2/properties"
_OWN = "urn:crystalmesh:optimade:structures"
_JSON_TYPES: Mapping[str, str] = {
    "string": "string",
    "timestamp": "string",
    "integer": "integer",
    "float": "number",
    "boolean": "boolean",
    "list": "array",
    "dictionary": "object",
}
_UNITS: Mapping[str, tuple[str, str]] = {
    "angstrom": ("ångström", "A unit of length, 1e-10 metres."),
    "eV": ("electronvolt", "A unit of energy, 1.602176634e-19 joules."),
    "GPa": ("gigapascal", "A unit of pressure, 1e9 pascals."),
    "mu_B": ("Bohr magneton", "A unit of magnetic moment, 9.2740100657e-24 joules per tesla."),
    "g": ("gram", "A unit of mass, 1e-3 kilograms."),
    "cm": ("centimetre", "A unit of length, 1e-2 metres."),
}
"""Title and description of each unit, by its symbol."""


@dataclass(frozen=True)
class OptimadeProperty:
    """One property of structures."""

    name: str  # as it is in the attributes
    kind: str  # "float"; lists as "list of list of float"
    description: str
    unit: str = "inapplicable"  # "eV", "angstrom^-3", "dimensionless"
    home: str = "optimade/structures"  # where the standard defines it
    keys: tuple[tuple[str, str], ...] = ()  # of the dictionaries in it, with their kinds

    @property
    def is_standard(self) -> bool:
        """Whether the standard defines it."""
        return not self.name.startswith("_")

    def definition(self) -> dict[str, Any]:
        """What an info endpoint says of it."""
        nullable = self.name not in {"id", "type"}
        source = "optimade" if self.is_standard else "crystalmesh"
        told: dict[str, Any] = {
            "$schema": _SCHEMA,
            "$id": f"{_STANDARD}/{self.home}/{self.name}" if self.is_standard else f"{_OWN}:{self.name}",
            "title": self.name.removeprefix(PREFIX).replace("_", " "),
            "description": self.description,
            "x-optimade-definition": {
                "kind": "property",
                "format": "1.2",
                "version": OPTIMADE_VERSION if self.is_standard else "1.0.0",
                "name": self.name,
                "label": f"{self.name.removeprefix(PREFIX)}_{source}_structures",
            },
            **self._typed(self.kind, nullable=nullable),
        }
        units = [_unit(symbol) for symbol in _UNITS if symbol in _symbols(self.unit)]
        if units:
            told["x-optimade-unit-definitions"] = units
        return told

    def _typed(self, kind: str, *, nullable: bool) -> dict[str, Any]:
        """Type and unit of a value, and of what is in it."""
        outer, _, inner = kind.partition(" of ")
        json_type = _JSON_TYPES[outer]
        nested = outer in {"list", "dictionary"} and self.unit != "inapplicable" and not inner
        told: dict[str, Any] = {
            "x-optimade-type": outer,
            "x-optimade-unit": "inapplicable" if nested else self.unit,
            "type": [json_type, "null"] if nullable else [json_type],
        }
        if outer == "timestamp":
            told["format"] = "date-time"
        if inner:
            told["items"] = self._typed(inner, nullable=False)
        if outer == "dictionary":
            told["properties"] = {
                key: OptimadeProperty(key, of_key, "")._typed(of_key, nullable=True)  # noqa: SLF001 -- its own
                for key, of_key in self.keys
            }
        return told


def info_entries(properties: Sequence[OptimadeProperty]) -> list[dict[str, Any]]:
    """What the info endpoints of a server with these structures would say: of the base, and of structures."""
    base = {
        "type": "info",
        "id": "/",
        "attributes": {
            "api_version": OPTIMADE_VERSION,
            "available_api_versions": [],
            "formats": ["json"],
            "available_endpoints": ["info", "structures"],
            "entry_types_by_format": {"json": ["structures"]},
            "is_index": False,
        },
    }
    structures = {
        "type": "info",
        "id": "structures",
        "description": "Crystals that a design campaign made, with the values that models give.",
        "properties": {each.name: each.definition() for each in properties},
        "formats": ["json"],
        "output_fields_by_format": {"json": [each.name for each in properties]},
    }
    return [base, structures]


def _unit(symbol: str) -> dict[str, Any]:
    title, description = _UNITS[symbol]
    return {"title": title, "symbol": symbol, "display-symbol": symbol, "description": description}


def _symbols(unit: str) -> set[str]:
    """The symbols in an expression: {"mu_B", "angstrom"} of "mu_B*angstrom^-3"."""
    return {factor.partition("^")[0] for factor in unit.split("*")}


STANDARD_PROPERTIES: tuple[OptimadeProperty, ...] = (
    OptimadeProperty("id", "string", "Name of the entry in this database.", home="core"),
    OptimadeProperty("type", "string", "Name of the type of entry.", home="core"),
    OptimadeProperty("immutable_id", "string", "Name that never changes: campaign/candidate.", home="core"),
    OptimadeProperty("last_modified", "timestamp", "When the campaign last changed it.", home="core"),
    OptimadeProperty("elements", "list of string", "Symbols of its elements in alphabetical order."),
    OptimadeProperty("nelements", "integer", "Number of its elements.", "dimensionless"),
    OptimadeProperty("elements_ratios", "list of float", "Share of each element, by atoms.", "dimensionless"),
    OptimadeProperty("chemical_formula_descriptive", "string", "The formula as chemists write it."),
    OptimadeProperty("chemical_formula_reduced", "string", "The reduced formula, elements by alphabet."),
    OptimadeProperty("chemical_formula_hill", "string", "The formula of the cell in Hill's order."),
    OptimadeProperty(
        "chemical_formula_anonymous", "string", "The reduced formula with letters for elements."
    ),
    OptimadeProperty("dimension_types", "list of integer", "1 for each periodic direction.", "dimensionless"),
    OptimadeProperty("nperiodic_dimensions", "integer", "Number of periodic directions.", "dimensionless"),
    OptimadeProperty("lattice_vectors", "list of list of float", "The lattice vectors as rows.", "angstrom"),
    OptimadeProperty("space_group_it_number", "integer", "Number of the space group.", "dimensionless"),
    OptimadeProperty(
        "cartesian_site_positions", "list of list of float", "Cartesian position of each site.", "angstrom"
    ),
    OptimadeProperty("nsites", "integer", "Number of sites.", "dimensionless"),
    OptimadeProperty("species_at_sites", "list of string", "Name of the species at each site."),
    OptimadeProperty(
        "species",
        "list of dictionary",
        "The species: here each is one element.",
        keys=(
            ("name", "string"),
            ("chemical_symbols", "list of string"),
            ("concentration", "list of float"),
        ),
    ),
    OptimadeProperty("structure_features", "list of string", "What is special about it; empty: nothing."),
)


def own(name: str, kind: str, description: str, unit: str = "inapplicable") -> OptimadeProperty:
    """A property of ours, under its prefixed name."""
    return OptimadeProperty(PREFIX + name, kind, description, unit)
