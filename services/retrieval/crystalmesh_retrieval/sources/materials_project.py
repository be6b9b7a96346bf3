"""The Materials Project, with the key of the user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from crystalmesh_common.runtime.errors import TokenMissingError
from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.sources.source import BadRow, Page, SourceRefusedError, parsed
from crystalmesh_retrieval.sources.structures import crystal_of_pymatgen
from crystalmesh_retrieval.sources.web import Web

MATERIALS_PROJECT = "https://api.materialsproject.org"
KEY_VARIABLE = "MP_API_KEY"

_NUMBERS: Mapping[Property, str] = {
    Property.FORMATION_ENERGY: "formation_energy_per_atom",
    Property.BAND_GAP: "band_gap",
    Property.ENERGY_ABOVE_HULL: "energy_above_hull",
    Property.MAGNETIZATION: "total_magnetization_normalized_vol",
}
_MODULI: Mapping[Property, str] = {
    Property.BULK_MODULUS: "bulk_modulus",
    Property.SHEAR_MODULUS: "shear_modulus",
}
_DFT = ValueSource(SourceKind.DFT, "Materials Project")


def key_from_environment() -> str:
    """The user's key; TokenMissingError where there is none."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise TokenMissingError(
            f"the Materials Project needs a key: set {KEY_VARIABLE} to yours, from "
            "https://materialsproject.org/api, or import one of its public data sets from a file"
        )
    return key


@dataclass(frozen=True)
class MaterialsProject:
    """The materials of the Materials Project in a chemical system, or all; the cursor is their number so far.

    The key goes into a header and nowhere else: not into messages, and not into the catalog.
    """

    api_key: str = field(repr=False)
    base_url: str = MATERIALS_PROJECT
    chemical_system: str = ""
    page_size: int = 500
    web: Web = field(default_factory=Web)

    attribution = "Materials Project (A. Jain et al., APL Materials 1, 011002, 2013), CC BY 4.0"

    @property
    def key(self) -> str:
        return f"materials-project:{self.base_url}:{self.chemical_system}"

    def pages(self, cursor: str) -> Iterator[Page]:
        web = replace(self.web, headers={**self.web.headers, "X-API-KEY": self.api_key})
        position = int(cursor or 0)
        while True:
            answer = web.json(self._page(position))
            if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
                raise SourceRefusedError(
                    f"{self.base_url} does not answer with a list of materials", field="url"
                )
            entries = answer["data"]
            if not entries:
                return
            position += len(entries)
            yield Page([_row(entry) for entry in entries], str(position), _total(answer))

    def _page(self, position: int) -> str:
        query = {
            **({"chemsys": self.chemical_system} if self.chemical_system else {}),
            "deprecated": "false",
            "_fields": ",".join(["material_id", "structure", *_NUMBERS.values(), *_MODULI.values()]),
            "_sort_fields": "material_id",
            "_limit": str(self.page_size),
            "_skip": str(position),
        }
        return f"{self.base_url}/materials/summary/?{urlencode(query)}"


def _row(entry: Any) -> MaterialInput | BadRow:
    name = str(entry.get("material_id")) if isinstance(entry, dict) else "a row without an id"
    return parsed(name, partial(_material, entry))


def _material(entry: Mapping[str, Any]) -> MaterialInput:
    material_id = str(entry["material_id"])
    numbers = {name: entry.get(key) for name, key in _NUMBERS.items()}
    moduli = {name: (entry.get(key) or {}).get("vrh") for name, key in _MODULI.items()}
    return MaterialInput(
        id=material_id,
        crystal=crystal_of_pymatgen(entry["structure"]),
        properties={
            name: PropertyValue(float(value), _DFT)
            for name, value in {**numbers, **moduli}.items()
            if value is not None
        },
        source=MaterialSource(
            name="Materials Project",
            source_id=material_id,
            url=f"https://materialsproject.org/materials/{material_id}",
            license="CC-BY-4.0",
        ),
    )


def _total(answer: Mapping[str, Any]) -> int | None:
    meta = answer.get("meta")
    total = meta.get("total_doc") if isinstance(meta, dict) else None
    return total if isinstance(total, int) else None
