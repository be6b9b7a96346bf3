"""The NOMAD archive, with the filters that MatExpert used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.runtime.errors import InvalidCrystalError, TooManyAtomsError
from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.sources.source import BadRow, Page, SourceRefusedError, parsed
from crystalmesh_retrieval.sources.structures import ANGSTROMS_IN_METRE, crystal_of_optimade
from crystalmesh_retrieval.sources.web import Web

NOMAD = "https://nomad-lab.eu/prod/v1/api/v1"
MAX_ATOMS = 30
EXCLUDED_ELEMENTS = frozenset("He Ne Ar Kr Xe Rn U Th Tc Po Pu Pa".split())  # noqa: SIM905 -- a list to read

_PROGRAM = "VASP"
_ELECTRONVOLTS_IN_JOULE = 1 / 1.602176634e-19
_STRUCTURE = "structure_original"


@dataclass(frozen=True)
class NomadArchive:
    """Public VASP calculations of at most 30 atoms, without noble gases and most radioactive elements.

    What the archive cannot filter by is checked here, and counts as rejected. The cursor is the last entry's
    id. Values of the archive are in SI units, ours are not.
    """

    base_url: str = NOMAD
    elements: tuple[str, ...] = ()  # that must all be present, to take a part of the archive
    page_size: int = 200
    web: Web = field(default_factory=Web)

    attribution = "NOMAD (M. Scheidgen et al., J. Open Source Softw. 8, 5388, 2023), CC BY 4.0"

    @property
    def key(self) -> str:
        return f"nomad:{self.base_url}:{'-'.join(sorted(self.elements))}"

    def pages(self, cursor: str) -> Iterator[Page]:
        while True:
            answer = self.web.json(f"{self.base_url}/entries/archive/query", self._query(cursor))
            if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
                raise SourceRefusedError(
                    f"{self.base_url} does not answer with a list of entries", field="url"
                )
            pagination = answer.get("pagination")
            told = pagination if isinstance(pagination, dict) else {}
            following = told.get("next_page_after_value")
            before, cursor = cursor, following if isinstance(following, str) else ""
            if cursor and cursor == before:
                raise SourceRefusedError(
                    f"{self.base_url} names a page as the next one of itself", field="url"
                )
            total = told.get("total")
            rows = [self._row(entry) for entry in answer["data"]]
            yield Page(rows, cursor, total if isinstance(total, int) else None)
            if not cursor:
                return

    def _query(self, cursor: str) -> Mapping[str, Any]:
        elements: dict[str, Any] = (
            {"results.material.elements:all": list(self.elements)} if self.elements else {}
        )
        return {
            "owner": "public",
            "query": {
                "results.method.simulation.program_name:any": [_PROGRAM],
                "quantities:all": [f"results.properties.structures.{_STRUCTURE}"],
                "not": {"results.material.elements:any": sorted(EXCLUDED_ELEMENTS)},
                **elements,
            },
            "pagination": {
                "page_size": self.page_size,
                "order_by": "entry_id",
                **({"page_after_value": cursor} if cursor else {}),
            },
            "required": {
                "results": {
                    "properties": {
                        "structures": {_STRUCTURE: "*"},
                        "electronic": {"band_gap": "*"},
                    }
                }
            },
        }

    def _row(self, entry: Any) -> MaterialInput | BadRow:
        name = str(entry.get("entry_id")) if isinstance(entry, dict) else "an entry without an id"
        return parsed(name, partial(self._material, entry))

    def _material(self, entry: Mapping[str, Any]) -> MaterialInput:
        entry_id = str(entry["entry_id"])
        properties = entry["archive"]["results"]["properties"]
        crystal = crystal_of_optimade(properties["structures"][_STRUCTURE], unit_angstrom=ANGSTROMS_IN_METRE)
        if len(crystal) > MAX_ATOMS:
            raise TooManyAtomsError(f"more than {MAX_ATOMS} atoms", atoms=len(crystal))
        unwanted = EXCLUDED_ELEMENTS.intersection(symbol_of(number) for number in crystal.numbers.tolist())
        if unwanted:
            raise InvalidCrystalError(f"it holds {min(unwanted)}, which is left out")
        gap = _band_gap_ev(properties)
        return MaterialInput(
            id=f"nomad-{entry_id}",
            crystal=crystal,
            properties={} if gap is None else {Property.BAND_GAP: gap},
            source=MaterialSource(
                name="NOMAD",
                source_id=entry_id,
                url=f"{self.base_url}/entries/{entry_id}",
                license="CC-BY-4.0",
            ),
        )


def _band_gap_ev(properties: Mapping[str, Any]) -> PropertyValue | None:
    """The smallest gap of the spin channels."""
    found = (properties.get("electronic") or {}).get("band_gap") or []
    channels = found if isinstance(found, list) else [found]
    gaps = [float(channel["value"]) for channel in channels if channel.get("value") is not None]
    if not gaps:
        return None
    return PropertyValue(
        min(gaps) * _ELECTRONVOLTS_IN_JOULE, ValueSource(SourceKind.DFT, f"NOMAD, {_PROGRAM}")
    )
