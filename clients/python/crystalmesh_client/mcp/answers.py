"""What tools answer with, where several of them do: values with their sources."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field

from crystalmesh_client.mcp.texts import finite
from crystalmesh_client.predictions import PredictedValue
from crystalmesh_client.properties import PropertyValue, SourceKindName


class Value(BaseModel):
    """A value in the unit that its property's name ends with."""

    value: float | None = Field(description="None: the model gave no number.")
    uncertainty: float | None = Field(None, description="One standard deviation. None: not known.")
    source_kind: SourceKindName = Field(
        description="How far it may be trusted: experiment and dft are the best, then potential (by a "
        "machine-learned potential), then prediction (by a trained model); geometry is exact."
    )
    source: str = Field("", description="The model or database, with its version.")


def values_of(known: Mapping[str, PropertyValue] | Mapping[str, PredictedValue]) -> dict[str, Value]:
    """Values by the name of their property."""
    return {name: value_of(value) for name, value in known.items()}


def value_of(known: PropertyValue) -> Value:
    """One value."""
    source = known.source
    return Value(
        value=finite(known.value),
        uncertainty=finite(known.uncertainty),
        source_kind=source.kind,
        source=f"{source.name} {source.version}".strip(),
    )
