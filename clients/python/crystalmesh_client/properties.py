"""Properties of materials by name: values with where they come from, and ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from crystalmesh.crystal.v1 import property_pb2, target_pb2
from crystalmesh_common.runtime.errors import InvalidFieldError

PropertyName = Literal[
    "formation_energy_ev_per_atom",
    "band_gap_ev",
    "energy_above_hull_ev_per_atom",
    "bulk_modulus_gpa",
    "shear_modulus_gpa",
    "magnetization_mu_b_per_cubic_angstrom",
    "density_g_per_cubic_centimeter",
    "atoms_in_cell",
]
"""A property; the unit is part of its name."""

SourceKindName = Literal["unspecified", "experiment", "dft", "potential", "prediction", "geometry"]
"""The nature of a value's source: "potential" is an interatomic one, "geometry" the structure alone."""

Range = tuple[float | None, float | None]
"""The smallest and the largest acceptable value; None: no bound on that side."""

PROPERTY_NAMES: tuple[PropertyName, ...] = get_args(PropertyName)
SHORT_NAMES: Mapping[str, str] = {
    "formation_energy_ev_per_atom": "formation eV/atom",
    "band_gap_ev": "gap eV",
    "energy_above_hull_ev_per_atom": "above hull eV/atom",
    "bulk_modulus_gpa": "K GPa",
    "shear_modulus_gpa": "G GPa",
    "magnetization_mu_b_per_cubic_angstrom": "magnetization μB/Å³",
}
"""What stands above columns of properties that somebody measured, computed or predicted."""

_SOURCE_KINDS: tuple[SourceKindName, ...] = get_args(SourceKindName)

_NUMBERS: Mapping[str, property_pb2.Property.ValueType] = {
    name: property_pb2.Property.Value(f"PROPERTY_{name.upper()}") for name in PROPERTY_NAMES
}
_NAMES: Mapping[int, str] = {number: name for name, number in _NUMBERS.items()}
_KIND_NUMBERS: Mapping[str, property_pb2.SourceKind.ValueType] = {
    kind: property_pb2.SourceKind.Value(f"SOURCE_KIND_{kind.upper()}") for kind in _SOURCE_KINDS
}
_KINDS: Mapping[int, SourceKindName] = {_KIND_NUMBERS[kind]: kind for kind in _SOURCE_KINDS}


@dataclass(frozen=True)
class ValueSource:
    """How far a value may be trusted."""

    kind: SourceKindName = "unspecified"
    name: str = ""  # the model, database or method: "chgnet-0.3.0", "Materials Project"
    version: str = ""


_DEVIATIONS_IN_95_PERCENT = 1.96
_MOST_DECIMALS = 6


@dataclass(frozen=True)
class PropertyValue:
    """A value in the unit of its property's name."""

    value: float
    source: ValueSource = ValueSource()
    uncertainty: float | None = None  # one standard deviation
    unit: str = ""  # in words, as the server says it: "eV/atom"

    @property
    def half_interval(self) -> float | None:
        """Half of a 95% interval; None where nobody says how sure the value is."""
        return None if self.uncertainty is None else _DEVIATIONS_IN_95_PERCENT * self.uncertainty

    @property
    def rounded(self) -> str:
        """The value and half of its 95% interval, with the digits that mean something: "3.21 ± 0.40"."""
        half = self.half_interval
        if half is None or not 0 < half < math.inf:
            return f"{round(self.value, 4) + 0.0:g}"  # no "-0"
        decimals = min(max(1 - math.floor(math.log10(half)), 0), _MOST_DECIMALS)
        return f"{round(self.value, decimals) + 0.0:.{decimals}f} ± {half:.{decimals}f}"

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        spread = "" if self.uncertainty is None else f" ± {round(self.uncertainty, 4):g}"
        origin = [self.source.name, self.source.version]
        if self.source.kind not in {"unspecified", "geometry"}:
            origin.insert(0, self.source.kind)
        words = " ".join(filter(None, origin))
        return f"{round(self.value, 4):g}{spread}{unit}" + (f" ({words})" if words else "")


def property_number(name: str) -> property_pb2.Property.ValueType:
    """The enum value of a property; InvalidFieldError for a name that is none."""
    if name not in _NUMBERS:
        raise InvalidFieldError(
            f"{name!r} is no property; these are: {', '.join(PROPERTY_NAMES)}", field="properties"
        )
    return _NUMBERS[name]


def value_to_proto(name: str, given: float | PropertyValue) -> property_pb2.PropertyValue:
    """The message of a value; a number alone has no source that is known."""
    known = given if isinstance(given, PropertyValue) else PropertyValue(float(given))
    source = known.source
    if source.kind not in _KIND_NUMBERS:
        raise InvalidFieldError(
            f"values come from {', '.join(_SOURCE_KINDS)}, not from {source.kind!r}", field="properties"
        )
    return property_pb2.PropertyValue(
        property=property_number(name),
        value=known.value,
        uncertainty=known.uncertainty,
        source=property_pb2.ValueSource(
            kind=_KIND_NUMBERS[source.kind], name=source.name, version=source.version
        ),
    )


def property_name(number: int) -> str:
    """The name of a property; that of one which this client does not know has its number."""
    return _NAMES.get(number, f"property_{number}")


def value_from(message: property_pb2.PropertyValue) -> PropertyValue:
    """The typed form of a message."""
    source = message.source
    return PropertyValue(
        value=message.value,
        source=ValueSource(_KINDS.get(source.kind, "unspecified"), source.name, source.version),
        uncertainty=message.uncertainty if message.HasField("uncertainty") else None,
        unit=message.unit,
    )


def range_to_proto(name: str, bounds: Range) -> target_pb2.PropertyRange:
    """The message of a range; InvalidFieldError for one that nothing can lie in, or that bounds nothing."""
    given: object = bounds  # perhaps a single number, by callers who check no types
    if not (isinstance(given, Sequence) and len(given) == 2):
        raise InvalidFieldError(
            f"{name} takes two bounds, (2, 4) or (2, None), not {str(bounds)[:80]}", field=name
        )
    low, high = bounds
    if low is None and high is None:
        raise InvalidFieldError(f"{name} has no bound: give (2, None), (None, 4) or (2, 4)", field=name)
    for bound in bounds:
        if bound is not None and math.isnan(bound):
            raise InvalidFieldError(f"{name} cannot be compared with NaN", field=name)
    if low is not None and high is not None and low > high:
        raise InvalidFieldError(f"{name} cannot be at least {low:g} and at most {high:g}", field=name)
    return target_pb2.PropertyRange(property=property_number(name), min=low, max=high)
