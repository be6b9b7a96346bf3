"""What models say of crystals: values with their intervals, and whether they may be relied on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.property.v1 import prediction_pb2
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_client.properties import SHORT_NAMES, PropertyValue, property_name, value_from
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import Crystal

DomainWarningKindName = Literal[
    "unspecified", "unseen_element", "rare_element", "density", "atom_count", "short_distance"
]
"""A way of being unlike the training data."""

_KINDS: Mapping[int, DomainWarningKindName] = {
    prediction_pb2.DomainWarningKind.Value(f"DOMAIN_WARNING_KIND_{kind.upper()}"): kind
    for kind in get_args(DomainWarningKindName)
}
_MAY_BE_NEGATIVE = {"formation_energy_ev_per_atom"}


@dataclass(frozen=True, kw_only=True)
class PredictedValue(PropertyValue):
    """A value in the unit of its property's name, with the model as its source."""

    name: str  # of the property: "band_gap_ev"

    @property
    def model(self) -> str:
        """The model that predicts it, by name."""
        return self.source.name

    @property
    def lower(self) -> float | None:
        """Where the 95% interval begins; not below 0 where the property cannot be."""
        if self.half_interval is None:
            return None
        low = self.value - self.half_interval
        return low if self.name in _MAY_BE_NEGATIVE else max(low, 0.0)

    @property
    def upper(self) -> float | None:
        """Where the 95% interval ends."""
        return None if self.half_interval is None else self.value + self.half_interval

    def to_dict(self) -> dict[str, Any]:
        """All of it that JSON can hold."""
        return {
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "uncertainty": self.uncertainty,
            "unit": self.unit,
            "model": self.model,
            "model_version": self.source.version,
        }


@dataclass(frozen=True)
class DomainWarning:
    """One way in which a crystal is unlike what a model was trained on."""

    kind: DomainWarningKindName
    message: str  # in words, with the numbers that matter
    elements: tuple[str, ...]  # symbols, for the kinds that concern elements
    model: str


@dataclass(frozen=True, eq=False)
class Prediction:
    """What models say of one crystal. Look at `out_of_domain` before anything else."""

    id: str
    crystal: Crystal = field(repr=False)
    values: Mapping[str, PredictedValue]  # by the name of the property, in the order asked for
    out_of_domain: bool  # unlike the training data: neither values nor intervals can be relied on
    domain_warnings: tuple[DomainWarning, ...] = field(repr=False)  # what is unlike
    index: int | None = None  # in a stream: its place among all that were given, from 0

    def __getitem__(self, name: str) -> PredictedValue:
        """The value of this property; KeyError when it was not asked for."""
        return self.values[name]

    @property
    def formula(self) -> str:
        return reduced_formula(self.crystal)

    def to_dict(self) -> dict[str, Any]:
        """All of it but the crystal, as JSON can hold it."""
        return {
            "id": self.id,
            "formula": self.formula,
            "values": {name: value.to_dict() for name, value in self.values.items()},
            "out_of_domain": self.out_of_domain,
            "domain_warnings": [
                {**vars(warning), "elements": list(warning.elements)} for warning in self.domain_warnings
            ],
        }

    def _repr_html_(self) -> str:
        head = [("crystal", self.id), ("formula", self.formula)]
        if self.out_of_domain:
            reasons = "; ".join(warning.message for warning in self.domain_warnings)
            head.append(("out of domain", reasons or "yes"))
        rows = [
            (SHORT_NAMES.get(name, name), value.rounded, value.model) for name, value in self.values.items()
        ]
        return html_table(*head) + html_grid(("property", "value ± half a 95% interval", "model"), rows)


def prediction_from(
    message: prediction_pb2.Prediction, crystal: Crystal, index: int | None = None
) -> Prediction:
    """The typed form of a message about `crystal`."""
    values = [predicted_value_from(value) for value in message.values]
    return Prediction(
        id=crystal.id,
        crystal=crystal,
        values={value.name: value for value in values},
        out_of_domain=message.out_of_domain,
        domain_warnings=tuple(
            DomainWarning(
                _KINDS.get(warning.kind, "unspecified"),
                warning.message,
                tuple(symbol_of(number) for number in warning.atomic_numbers),
                warning.model,
            )
            for warning in message.domain_warnings
        ),
        index=index,
    )


def predicted_value_from(message: property_pb2.PropertyValue) -> PredictedValue:
    """The typed form of a message in which a model says a value."""
    known = value_from(message)
    return PredictedValue(
        known.value, known.source, known.uncertainty, known.unit, name=property_name(message.property)
    )
