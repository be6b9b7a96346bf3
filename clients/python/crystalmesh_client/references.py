"""The sets of entries whose convex hull crystals are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from crystalmesh.stability.v1 import reference_pb2
from crystalmesh_client.notebook import html_table

_KINDS: Mapping[int, str] = {
    reference_pb2.REFERENCE_KIND_DFT: "dft",
    reference_pb2.REFERENCE_KIND_MODEL: "model",
}


@dataclass(frozen=True)
class Reference:
    """What a hull distance counts against. Those with equal `entries_sha256` compare."""

    name: str  # "mp20-chgnet-0.3.0"
    kind: str  # "dft", or "model": a potential relaxed every entry
    model: str  # that potential; empty for "dft"
    energy_scheme: str  # "MP2020"
    entry_count: int
    is_default: bool
    entries_sha256: str = field(repr=False)

    def _repr_html_(self) -> str:
        return html_table(*_rows(self))


@dataclass(frozen=True)
class ElementalEnergy:
    """The energy of an element in the state that formation energies are counted from."""

    atomic_number: int
    energy_ev_per_atom: float
    model: str  # the potential whose total energies it belongs to; empty: DFT total energies


@dataclass(frozen=True)
class ReferenceDescription:
    """A reference and where it comes from."""

    summary: Reference
    description: str
    attribution: str
    license: str
    atomic_numbers: tuple[int, ...] = field(repr=False)  # with an elemental entry: only these can be scored
    elemental_energies: tuple[ElementalEnergy, ...] = field(repr=False)
    updated: datetime | None  # None: not stated

    def _repr_html_(self) -> str:
        return html_table(
            *_rows(self.summary),
            ("elements", str(len(self.atomic_numbers))),
            ("description", self.description),
            ("attribution", self.attribution),
            ("license", self.license),
        )


def reference_from(message: reference_pb2.ReferenceSummary) -> Reference:
    """The typed form of a message."""
    return Reference(
        name=message.name,
        kind=_KINDS.get(message.kind, "not stated"),
        model=message.model,
        energy_scheme=message.energy_scheme,
        entry_count=message.entry_count,
        is_default=message.is_default,
        entries_sha256=message.entries_sha256,
    )


def description_from(message: reference_pb2.Reference) -> ReferenceDescription:
    """The typed form of a message."""
    return ReferenceDescription(
        summary=reference_from(message.summary),
        description=message.description,
        attribution=message.attribution,
        license=message.license,
        atomic_numbers=tuple(message.atomic_numbers),
        elemental_energies=tuple(
            ElementalEnergy(element.atomic_number, element.energy_ev_per_atom, element.model)
            for element in message.elemental_energies
        ),
        updated=message.update_time.ToDatetime(UTC) if message.HasField("update_time") else None,
    )


def _rows(reference: Reference) -> list[tuple[str, str]]:
    return [
        ("reference", reference.name),
        ("energies", reference.model or reference.kind.upper()),
        ("scheme", reference.energy_scheme),
        ("entries", f"{reference.entry_count:,}"),
    ]
