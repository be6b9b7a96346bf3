"""Known materials: as catalogs answer with them, and as somebody brings them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from crystalmesh.retrieval.v1 import ingestion_pb2, material_pb2
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_inputs
from crystalmesh_client.notebook import html_table
from crystalmesh_client.properties import (
    PropertyName,
    PropertyValue,
    property_name,
    value_from,
    value_to_proto,
)
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.structure import Structure

ViewName = Literal["basic", "full"]
"""How much of a material to send: "basic" leaves out crystal and descriptions."""

VIEWS: Mapping[ViewName, material_pb2.MaterialView.ValueType] = {
    "basic": material_pb2.MATERIAL_VIEW_BASIC,
    "full": material_pb2.MATERIAL_VIEW_FULL,
}


@dataclass(frozen=True)
class MaterialSource:
    """Where a material comes from."""

    name: str = ""  # the database or file: "Materials Project"
    source_id: str = ""  # its id there: "mp-1960"
    url: str = ""
    retrieved: datetime | None = None
    license: str = ""  # an SPDX expression
    method: str = ""  # how it was made, where it was made and not read

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.name, self.source_id, self.method, self.license)))


@dataclass(frozen=True, eq=False)
class Material:
    """A material of a catalog, with what is known about it."""

    id: str
    formula: str  # reduced
    chemical_system: str  # "Li-O"
    space_group_number: int  # found within 0.1 Å
    atom_count: int
    properties: Mapping[str, PropertyValue] = field(repr=False)  # by name, each with its source
    source: MaterialSource = field(repr=False)
    catalog: str
    crystal: Crystal | None = field(repr=False)  # None unless asked for with view="full"; so are both texts
    property_description: str = field(repr=False)
    structure_description: str = field(repr=False)

    def value(self, name: PropertyName) -> float | None:
        """The value of a property, in the unit of its name; None when it is not known."""
        known = self.properties.get(name)
        return None if known is None else known.value

    def to_pymatgen(self) -> Structure:
        """The crystal as a pymatgen Structure; ValueError when it was not asked for."""
        from crystalmesh_common.crystal.pymatgen_codec import to_structure  # noqa: PLC0415 -- heavy

        return to_structure(self._known_crystal())

    def to_ase(self) -> Atoms:
        """The crystal as ASE Atoms; ValueError when it was not asked for."""
        from crystalmesh_common.crystal.ase_codec import to_atoms  # noqa: PLC0415 -- heavy

        return to_atoms(self._known_crystal())

    def to_cif(self) -> str:
        """The crystal as CIF text; ValueError when it was not asked for."""
        from crystalmesh_common.crystal.text import crystal_to_cif  # noqa: PLC0415 -- heavy

        return crystal_to_cif(self._known_crystal())

    def to_input(self) -> MaterialInput:
        """The same material for another catalog; ValueError when it came without its crystal."""
        measured = {name: known for name, known in self.properties.items() if known.source.kind != "geometry"}
        return MaterialInput(
            self._known_crystal(),
            self.id,
            measured,
            self.source,
            self.property_description,
            self.structure_description,
        )

    def _known_crystal(self) -> Crystal:
        if self.crystal is None:
            raise ValueError(f'{self.id} came without its crystal; ask for it with view="full"')
        return self.crystal

    def _repr_html_(self) -> str:
        return html_table(*_rows(self))


@dataclass(frozen=True, eq=False)
class MaterialInput:
    """A material to add to a catalog. A property given as a number has no source that is known."""

    crystal: CrystalLike
    id: str = ""  # in the catalog; empty: the crystal's
    properties: Mapping[str, float | PropertyValue] = field(default_factory=dict)
    source: MaterialSource = MaterialSource()
    property_description: str = ""  # empty: written by the server, as the other one
    structure_description: str = ""

    def to_proto(self) -> ingestion_pb2.MaterialInput:
        """The message; raises what is wrong with the crystal, InvalidFieldError without an id."""
        crystal = to_crystal(self.crystal)
        material_id = self.id or crystal.id
        if not material_id:
            raise InvalidFieldError("a material needs an id: its own, or that of its crystal", field="id")
        source = self.source
        message = ingestion_pb2.MaterialInput(
            id=material_id,
            crystal=to_inputs([replace(crystal, id=material_id)])[0],
            properties=[value_to_proto(name, known) for name, known in self.properties.items()],
            source=material_pb2.MaterialSource(
                name=source.name,
                source_id=source.source_id,
                url=source.url,
                license=source.license,
                method=source.method,
            ),
            property_description=self.property_description,
            structure_description=self.structure_description,
        )
        if source.retrieved is not None:
            message.source.retrieve_time.FromDatetime(source.retrieved)
        return message


def material_from(message: material_pb2.Material) -> Material:
    """The typed form of a message."""
    source = message.source
    return Material(
        id=message.id,
        formula=message.formula,
        chemical_system=message.chemical_system,
        space_group_number=message.space_group_number,
        atom_count=message.atom_count,
        properties={property_name(known.property): value_from(known) for known in message.properties},
        source=MaterialSource(
            name=source.name,
            source_id=source.source_id,
            url=source.url,
            retrieved=source.retrieve_time.ToDatetime(UTC) if source.HasField("retrieve_time") else None,
            license=source.license,
            method=source.method,
        ),
        catalog=message.catalog,
        crystal=crystal_from_proto(message.crystal) if message.HasField("crystal") else None,
        property_description=message.property_description,
        structure_description=message.structure_description,
    )


def _rows(material: Material) -> Iterator[tuple[str, str]]:
    yield "material", material.id
    yield "catalog", material.catalog
    yield "formula", material.formula
    yield "space group", str(material.space_group_number)
    yield "atoms", str(material.atom_count)
    for name, known in material.properties.items():
        yield name.replace("_", " "), str(known)
    if origin := str(material.source):
        yield "source", origin
    if material.structure_description:
        yield "structure", material.structure_description
