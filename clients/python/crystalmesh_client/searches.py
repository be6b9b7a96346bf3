"""What searches find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from crystalmesh.retrieval.v1 import search_pb2
from crystalmesh_client.conditions import Target
from crystalmesh_client.materials import Material, material_from
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_client.properties import PROPERTY_NAMES, SHORT_NAMES, PropertyValue
from crystalmesh_client.queries import Query
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.structure import Crystal

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, eq=False)
class SearchHit:
    """A material that a query found."""

    material: Material
    similarity: float  # cosine, -1 to 1; compares within one encoder only


@dataclass(frozen=True, eq=False)
class SearchHits:
    """What a query found, the nearest first; possibly nothing. Iterates over its hits."""

    id: str
    query: Query = field(repr=False)
    hits: tuple[SearchHit, ...]
    catalog: str
    catalog_version: str
    encoder: str

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[SearchHit]:
        return iter(self.hits)

    def __getitem__(self, rank: int) -> SearchHit:
        return self.hits[rank]

    @property
    def materials(self) -> list[Material]:
        """The materials, the nearest first."""
        return [hit.material for hit in self.hits]

    def _repr_html_(self) -> str:
        known = known_properties(self.materials)
        rows = [
            (
                hit.material.id,
                hit.material.formula,
                str(hit.material.space_group_number),
                *(labelled(hit.material.properties.get(name)) for name in known),
                f"{hit.similarity:.3f}",
            )
            for hit in self.hits
        ]
        head = html_table(
            ("query", in_words(self.query)), ("catalog", self.catalog), ("encoder", self.encoder)
        )
        columns = ("material", "formula", "space group", *map(SHORT_NAMES.get, known), "similarity")
        return head + html_grid([str(name) for name in columns], rows)


def known_properties(materials: list[Material]) -> list[str]:
    """Those of SHORT_NAMES that any of the materials has, in the order of the API."""
    known = {name for material in materials for name in material.properties}
    return [name for name in PROPERTY_NAMES if name in known and name in SHORT_NAMES]


def labelled(known: PropertyValue | None) -> str:
    """A value with the kind of its source, "2.1 dft"; nothing where there is none."""
    if known is None:
        return ""
    kind = "" if known.source.kind == "unspecified" else f" {known.source.kind}"
    return f"{round(known.value, 4) + 0.0:g}{kind}"  # no "-0"


def in_words(query: Query) -> str:
    """A query for people, on one line."""
    sought = query.sought
    if isinstance(sought, Target):
        default = Target()
        set_parts = {name: part for name, part in vars(sought).items() if part != getattr(default, name)}
        words = ", ".join(f"{name}={part}" for name, part in set_parts.items()) or "anything"
    elif isinstance(sought, Crystal):
        words = f"crystals like {query.id} ({reduced_formula(sought)})"
    else:
        words = " ".join(str(sought).split())
    return words if len(words) <= _SHOWN_CHARACTERS else f"{words[: _SHOWN_CHARACTERS - 1]}…"


def hits_from(message: search_pb2.SearchHits, query: Query) -> SearchHits:
    """The typed form of a message about `query`."""
    return SearchHits(
        id=query.id,
        query=query,
        hits=tuple(SearchHit(material_from(hit.material), hit.similarity) for hit in message.hits),
        catalog=message.catalog,
        catalog_version=message.catalog_version,
        encoder=message.encoder,
    )
