"""What is asked of models and what they answer: names, units and shapes, no grpc."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from crystalmesh_property.properties import Property

UNITS: Mapping[Property, str] = {
    Property.FORMATION_ENERGY: "eV/atom",
    Property.BAND_GAP: "eV",
    Property.ENERGY_ABOVE_HULL: "eV/atom",
    Property.BULK_MODULUS: "GPa",
    Property.SHEAR_MODULUS: "GPa",
    Property.MAGNETIZATION: "μB/Å³",
}


class Question(NamedTuple):
    """A property, and the model to take it from."""

    property: Property
    model: str


Plan = tuple[Question, ...]
"""What is wanted of every crystal of a call, in the order of the answers; no property twice."""


@dataclass(frozen=True)
class PredictedValue:
    """One property of one crystal, in the unit of the property's name."""

    property: Property
    value: float
    uncertainty: float | None  # one standard deviation
    model: str
    version: str


class Unlikeness(Enum):
    """A way of being unlike what a model was trained on."""

    UNSEEN_ELEMENT = "unseen element"
    RARE_ELEMENT = "rare element"
    DENSITY = "density"
    ATOM_COUNT = "atom count"
    SHORT_DISTANCE = "short distance"


@dataclass(frozen=True)
class DomainWarning:
    """One way in which a crystal is unlike what a model was trained on."""

    kind: Unlikeness
    message: str
    model: str
    atomic_numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """The answers to a plan, in its order, and why they may mean nothing."""

    values: Sequence[PredictedValue]
    warnings: Sequence[DomainWarning] = ()


@dataclass(frozen=True)
class LoadedModel:
    """What a model folder turned out to be: a model, or the reason why it is none."""

    name: str
    reason: str = ""  # why it cannot predict; empty for one that can
    properties: tuple[Property, ...] = ()
    sha256: str = ""  # of its numbers
    parameters: int = 0
    atomic_numbers: tuple[int, ...] = ()  # in what it was trained on
    provenance: Mapping[str, Any] = field(default_factory=dict)  # as its training wrote it

    @property
    def ready(self) -> bool:
        return not self.reason

    @property
    def version(self) -> str:
        return self.sha256[:12]
