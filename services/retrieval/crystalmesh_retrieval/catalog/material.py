"""A known crystal with what is known about it: as somebody brings it, and as a catalog holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from crystalmesh_common.crystal.structure import Crystal


class Property(StrEnum):
    """The properties of the API, in its order, by the names of their columns."""

    FORMATION_ENERGY = "formation_energy_ev_per_atom"
    BAND_GAP = "band_gap_ev"
    ENERGY_ABOVE_HULL = "energy_above_hull_ev_per_atom"
    BULK_MODULUS = "bulk_modulus_gpa"
    SHEAR_MODULUS = "shear_modulus_gpa"
    MAGNETIZATION = "magnetization_mu_b_per_cubic_angstrom"
    DENSITY = "density_g_per_cubic_centimeter"
    ATOMS_IN_CELL = "atoms_in_cell"

    @property
    def is_geometric(self) -> bool:
        """Whether it follows from the structure: nobody brings it, the catalog works it out."""
        return self in {Property.DENSITY, Property.ATOMS_IN_CELL}


LABELS: tuple[Property, ...] = tuple(name for name in Property if not name.is_geometric)
"""The properties that somebody has to measure, compute or predict."""


class SourceKind(StrEnum):
    """The nature of a value's source."""

    UNSPECIFIED = "unspecified"
    EXPERIMENT = "experiment"
    DFT = "dft"
    POTENTIAL = "potential"
    PREDICTION = "prediction"
    GEOMETRY = "geometry"


@dataclass(frozen=True)
class ValueSource:
    """How far a value may be trusted."""

    kind: SourceKind
    name: str = ""  # the model, database or method
    version: str = ""


GEOMETRY = ValueSource(SourceKind.GEOMETRY)


@dataclass(frozen=True)
class PropertyValue:
    """A value in the unit of its property's name."""

    value: float
    source: ValueSource
    uncertainty: float | None = None  # one standard deviation


@dataclass(frozen=True)
class MaterialSource:
    """Where a material comes from."""

    name: str = ""
    source_id: str = ""
    url: str = ""
    retrieve_time: datetime | None = None
    license: str = ""
    method: str = ""


@dataclass(frozen=True, eq=False)
class MaterialInput:
    """A material to add. Its id, 1 to 256 characters, counts; that of its crystal does not."""

    id: str
    crystal: Crystal
    properties: Mapping[Property, PropertyValue] = field(default_factory=dict)
    source: MaterialSource = MaterialSource()
    property_description: str = ""
    structure_description: str = ""


@dataclass(frozen=True, eq=False)
class Material(MaterialInput):
    """A material of a catalog, with what follows from its structure; the crystal has the same id."""

    formula: str = ""  # reduced
    chemical_system: str = ""
    space_group_number: int = 1  # within 0.1 Å
