"""Any OPTIMADE provider: structures page by page, along the links that it gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.sources.source import (
    BadRow,
    Page,
    Provenance,
    SourceRefusedError,
    parsed,
)
from crystalmesh_retrieval.sources.structures import crystal_of_optimade
from crystalmesh_retrieval.sources.web import Web

STRUCTURE_FIELDS = (
    "dimension_types",
    "lattice_vectors",
    "cartesian_site_positions",
    "species",
    "species_at_sites",
)

KNOWN_FIELDS: Mapping[str, Mapping[Property, str]] = {
    "oqmd.org": {
        Property.FORMATION_ENERGY: "_oqmd_delta_e",
        Property.BAND_GAP: "_oqmd_band_gap",
    },
    "alexandria.icams.rub.de": {
        Property.FORMATION_ENERGY: "_alexandria_formation_energy_per_atom",
        Property.ENERGY_ABOVE_HULL: "_alexandria_hull_distance",
        Property.BAND_GAP: "_alexandria_band_gap",
    },
}
"""Fields of providers that are in our units, by host. OQMD's hull distance is not: it goes below zero."""


_VERSION = re.compile(r"/v\d[\d.]*$")


@dataclass(frozen=True)
class OptimadeProvider:
    """The structures of a provider that pass a filter in OPTIMADE's language; empty: all.

    Materials are named after the provider and their id there, "oqmd-4061139". The cursor is the address of
    the page that comes next.
    """

    base_url: str  # with or without the version: "https://oqmd.org/optimade"
    filter: str = ""
    page_size: int = 100
    fields: Mapping[Property, str] = field(default_factory=dict)  # beyond KNOWN_FIELDS
    provenance: Provenance = field(default_factory=Provenance)
    web: Web = field(default_factory=Web)

    @property
    def key(self) -> str:
        return f"optimade:{self._base}?{self.filter}"

    @property
    def attribution(self) -> str:
        return self.provenance.attribution

    def pages(self, cursor: str) -> Iterator[Page]:
        url = cursor or self._first_page
        while url:
            answer = self.web.json(url)
            if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
                raise SourceRefusedError(
                    f"{url[:200]} does not answer with a list of structures", field="url"
                )
            following = _next_page(answer, url)
            yield Page([self._row(entry, answer) for entry in answer["data"]], following, _total(answer))
            url = following

    @property
    def _first_page(self) -> str:
        query = {
            **({"filter": self.filter} if self.filter else {}),
            "response_fields": ",".join([*STRUCTURE_FIELDS, *self._fields.values()]),
            "page_limit": str(self.page_size),
        }
        return f"{self._base}/structures?{urlencode(query)}"

    @property
    def _base(self) -> str:
        base = self.base_url.rstrip("/")
        return base if _VERSION.search(base) else f"{base}/v1"

    @property
    def _fields(self) -> Mapping[Property, str]:
        host = urlsplit(self.base_url).hostname or ""
        return {**KNOWN_FIELDS.get(host, {}), **self.fields}

    def _row(self, entry: Any, answer: Mapping[str, Any]) -> MaterialInput | BadRow:
        name = str(entry.get("id")) if isinstance(entry, dict) else "a row without an id"
        return parsed(name, partial(self._material, entry, answer))

    def _material(self, entry: Mapping[str, Any], answer: Mapping[str, Any]) -> MaterialInput:
        attributes = entry["attributes"]
        entry_id = str(entry["id"])
        prefix, name = _provider(answer)
        return MaterialInput(
            id=entry_id if entry_id.startswith(f"{prefix}-") else f"{prefix}-{entry_id}",
            crystal=crystal_of_optimade(attributes),
            properties={
                name_: PropertyValue(float(attributes[field_]), self._values_of(name))
                for name_, field_ in self._fields.items()
                if attributes.get(field_) is not None
            },
            source=MaterialSource(
                name=self.provenance.database or name,
                source_id=entry_id,
                url=f"{self._base}/structures/{entry_id}",
                license=self.provenance.license,
            ),
        )

    def _values_of(self, provider: str) -> ValueSource:
        """What the caller says of all values, else what is known: those of KNOWN_FIELDS are from DFT."""
        told = self.provenance.values
        if told.kind is not SourceKind.UNSPECIFIED or urlsplit(self.base_url).hostname not in KNOWN_FIELDS:
            return told
        return ValueSource(SourceKind.DFT, provider)


def _next_page(answer: Mapping[str, Any], url: str) -> str:
    """The address of the page behind this one; empty where this is the last."""
    links = answer.get("links")
    following = links.get("next") if isinstance(links, dict) else None
    if isinstance(following, dict):
        following = following.get("href")
    if not isinstance(following, str) or not following:
        return ""
    address = urljoin(url, following)
    if address == url:
        raise SourceRefusedError(f"{url[:200]} names itself as the next page", field="url")
    return address


def _provider(answer: Mapping[str, Any]) -> tuple[str, str]:
    """Prefix and name of the provider, as it says."""
    meta = answer.get("meta")
    provider = meta.get("provider") if isinstance(meta, dict) else None
    told = provider if isinstance(provider, dict) else {}
    prefix = str(told.get("prefix") or "optimade")
    return prefix, str(told.get("name") or prefix)


def _total(answer: Mapping[str, Any]) -> int | None:
    meta = answer.get("meta")
    total = meta.get("data_returned") if isinstance(meta, dict) else None
    return total if isinstance(total, int) else None
