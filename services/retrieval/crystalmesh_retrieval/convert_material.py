"""Materials: protobuf to dataclasses and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.retrieval.v1 import ingestion_pb2, material_pb2
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError, UnknownEnumValueError
from crystalmesh_common.runtime.intake import read_input
from crystalmesh_retrieval.catalog.analysis import check_fields
from crystalmesh_retrieval.catalog.material import (
    Material,
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.convert import PROPERTY_NUMBERS, property_of
from crystalmesh_retrieval.ingestion import BadMaterial, Offered

_UNITS: Mapping[Property, str] = {
    Property.FORMATION_ENERGY: "eV/atom",
    Property.BAND_GAP: "eV",
    Property.ENERGY_ABOVE_HULL: "eV/atom",
    Property.BULK_MODULUS: "GPa",
    Property.SHEAR_MODULUS: "GPa",
    Property.MAGNETIZATION: "μB/Å³",
    Property.DENSITY: "g/cm³",
    Property.ATOMS_IN_CELL: "",
}
_KIND_NUMBERS: Mapping[SourceKind, property_pb2.SourceKind.ValueType] = {
    kind: property_pb2.SourceKind.Value(f"SOURCE_KIND_{kind.upper()}") for kind in SourceKind
}
_KINDS: Mapping[int, SourceKind] = {number: kind for kind, number in _KIND_NUMBERS.items()}


def material_message(material: Material, catalog: str, *, whole: bool) -> material_pb2.Material:
    """The message of a material; crystal and descriptions only where it is to be `whole`."""
    message = material_pb2.Material(
        id=material.id,
        formula=material.formula,
        chemical_system=material.chemical_system,
        space_group_number=material.space_group_number,
        atom_count=len(material.crystal),
        catalog=catalog,
    )
    for name, known in material.properties.items():
        _fill_value(message.properties.add(), name, known)
    _fill_source(message.source, material.source)
    if whole:
        message.crystal.CopyFrom(crystal_to_proto(material.crystal))
        message.property_description = material.property_description
        message.structure_description = material.structure_description
    return message


def _fill_value(message: property_pb2.PropertyValue, name: Property, known: PropertyValue) -> None:
    message.property = PROPERTY_NUMBERS[name]
    message.value = known.value
    message.unit = _UNITS[name]
    if known.uncertainty is not None:
        message.uncertainty = known.uncertainty
    message.source.kind = _KIND_NUMBERS[known.source.kind]
    message.source.name = known.source.name
    message.source.version = known.source.version


def _fill_source(message: material_pb2.MaterialSource, source: MaterialSource) -> None:
    message.name = source.name
    message.source_id = source.source_id
    message.url = source.url
    message.license = source.license
    message.method = source.method
    if source.retrieve_time is not None:
        message.retrieve_time.FromDatetime(source.retrieve_time)


def offered_each(messages: Sequence[ingestion_pb2.MaterialInput], *, max_atoms: int) -> list[Offered]:
    """The materials to add, in order."""
    return [offered(message, max_atoms=max_atoms) for message in messages]


def offered(message: ingestion_pb2.MaterialInput, *, max_atoms: int) -> Offered:
    """A material to add, or why it cannot be added."""
    try:
        return _material(message, max_atoms)
    except CrystalMeshError as error:
        return BadMaterial(message.id, error)


def _material(message: ingestion_pb2.MaterialInput, max_atoms: int) -> MaterialInput:
    crystal = read_input(message.crystal, message.id, max_atoms=max_atoms)
    if isinstance(crystal, CrystalMeshError):
        raise crystal
    material = MaterialInput(
        id=message.id,
        crystal=crystal,
        properties=_properties(message),
        source=_source(message.source),
        property_description=message.property_description.strip(),
        structure_description=message.structure_description.strip(),
    )
    check_fields(material)
    return material


def _properties(message: ingestion_pb2.MaterialInput) -> dict[Property, PropertyValue]:
    known: dict[Property, PropertyValue] = {}
    for value in message.properties:
        name = property_of(value.property, "properties.property")
        if name in known:
            raise InvalidFieldError(f"properties: {name} is given twice", field="properties")
        if value.source.kind not in _KINDS:
            raise UnknownEnumValueError(
                f"properties.source.kind: {value.source.kind} is no SourceKind",
                field="properties.source.kind",
            )
        source = ValueSource(_KINDS[value.source.kind], value.source.name, value.source.version)
        uncertainty = value.uncertainty if value.HasField("uncertainty") else None
        known[name] = PropertyValue(value.value, source, uncertainty)
    # What follows from the structure the catalog works out.
    return {name: value for name, value in known.items() if not name.is_geometric}


def _source(message: material_pb2.MaterialSource) -> MaterialSource:
    retrieved = None
    if message.HasField("retrieve_time"):
        try:
            retrieved = message.retrieve_time.ToDatetime(UTC)
        except (ValueError, OverflowError):
            raise InvalidFieldError(
                "source.retrieve_time is no time from year 1 to 9999", field="source.retrieve_time"
            ) from None
    return MaterialSource(
        name=message.name,
        source_id=message.source_id,
        url=message.url,
        retrieve_time=retrieved,
        license=message.license,
        method=message.method,
    )
