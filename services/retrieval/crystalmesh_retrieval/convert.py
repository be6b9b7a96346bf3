"""What several requests share, from protobuf and checked: properties, filters, views."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from crystalmesh.crystal.v1 import crystal_pb2, property_pb2
from crystalmesh.crystal.v1.target_pb2 import PropertyRange
from crystalmesh.retrieval.v1 import filter_pb2, material_pb2
from crystalmesh_common.runtime.errors import InvalidFieldError, UnknownEnumValueError
from crystalmesh_retrieval.catalog.filters import CrystalSystem, MaterialFilter, PropertyBounds
from crystalmesh_retrieval.catalog.material import Property

MAX_LIMIT = 1000
DEFAULT_LIMIT = 10

PROPERTIES: Mapping[int, Property] = {
    property_pb2.Property.Value(f"PROPERTY_{name.upper()}"): name for name in Property
}
PROPERTY_NUMBERS: Mapping[Property, property_pb2.Property.ValueType] = {
    name: property_pb2.Property.Value(f"PROPERTY_{name.upper()}") for name in Property
}
CRYSTAL_SYSTEMS: Mapping[int, CrystalSystem] = {
    crystal_pb2.CrystalSystem.Value(f"CRYSTAL_SYSTEM_{name.upper()}"): name for name in CrystalSystem
}


def property_of(number: int, field: str) -> Property:
    """The property of an enum value; raises UnknownEnumValueError."""
    if number not in PROPERTIES:
        raise UnknownEnumValueError(f"{field}: {number} is no Property", field=field)
    return PROPERTIES[number]


def crystal_system_of(number: int, field: str) -> CrystalSystem:
    """The crystal system of an enum value; raises UnknownEnumValueError."""
    if number not in CRYSTAL_SYSTEMS:
        raise UnknownEnumValueError(f"{field}: {number} is no CrystalSystem", field=field)
    return CRYSTAL_SYSTEMS[number]


def bounds_of(ranges: Iterable[PropertyRange], field: str) -> dict[Property, PropertyBounds]:
    """Ranges by property; raises InvalidFieldError and UnknownEnumValueError."""
    bounds: dict[Property, PropertyBounds] = {}
    for wanted in ranges:
        name = property_of(wanted.property, f"{field}.property")
        if name in bounds:
            raise InvalidFieldError(f"{field} bounds {name} twice", field=field)
        if not (wanted.HasField("min") or wanted.HasField("max")):
            raise InvalidFieldError(f"{field}: {name} has neither min nor max", field=field)
        low = wanted.min if wanted.HasField("min") else -math.inf
        high = wanted.max if wanted.HasField("max") else math.inf
        if math.isnan(low) or math.isnan(high):
            raise InvalidFieldError(f"{field}: a bound of {name} is not a number", field=field)
        if low > high:
            raise InvalidFieldError(
                f"{field}: {name} cannot be at least {low:g} and at most {high:g}", field=field
            )
        bounds[name] = PropertyBounds(low, high)
    return bounds


def filter_of(message: filter_pb2.MaterialFilter) -> MaterialFilter:
    """The filter of a request; raises InvalidFieldError and UnknownEnumValueError.

    The first formula takes half a second, so this is not for an event loop.
    """
    systems = tuple(crystal_system_of(n, "filter.crystal_systems") for n in message.crystal_systems)
    bounds = bounds_of(message.properties, "filter.properties")
    try:
        return MaterialFilter(
            required_elements=tuple(message.required_elements),
            allowed_elements=tuple(message.allowed_elements),
            forbidden_elements=tuple(message.forbidden_elements),
            formula=message.formula,
            chemical_system=message.chemical_system,
            space_group_numbers=tuple(message.space_group_numbers),
            crystal_systems=systems,
            properties=bounds,
        )
    except InvalidFieldError as error:
        field = f"filter.{error.details.get('field', '')}"
        raise InvalidFieldError(f"{field}: {error.message}", field=field) from None


def wants_whole(view: int, *, by_default: bool) -> bool:
    """Whether a view brings crystals and descriptions; raises UnknownEnumValueError."""
    views = {
        material_pb2.MATERIAL_VIEW_UNSPECIFIED: by_default,
        material_pb2.MATERIAL_VIEW_BASIC: False,
        material_pb2.MATERIAL_VIEW_FULL: True,
    }
    if view not in views:
        raise UnknownEnumValueError(f"view: {view} is no MaterialView", field="view")
    return views[material_pb2.MaterialView.ValueType(view)]
