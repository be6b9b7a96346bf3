"""What RetrievalService is asked, the same from synchronous and from asyncio code."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.retrieval.v1.embedding_pb2 import EmbedRequest
from crystalmesh.retrieval.v1.match_pb2 import FindMatchesRequest
from crystalmesh.retrieval.v1.material_pb2 import ListMaterialsRequest, MaterialView
from crystalmesh.retrieval.v1.search_pb2 import SearchRequest
from crystalmesh_client.conditions import MaterialFilter
from crystalmesh_client.embeddings import Embedding, TowerName, embedding_from, tower_number
from crystalmesh_client.matches import Matches, MatchTolerance, matches_from
from crystalmesh_client.materials import VIEWS, ViewName
from crystalmesh_client.queries import Query
from crystalmesh_client.questions import Question, about_crystals, outcome_reader
from crystalmesh_client.results import Failed
from crystalmesh_client.searches import SearchHits, hits_from
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError

SERVICE = "retrieval"

_MAX_LIMIT = 1000

_read_hits = outcome_reader("hits", hits_from, id_field="query_id")
_read_embedding = outcome_reader("embedding", embedding_from, id_field="query_id")
_read_matches = outcome_reader("matches", matches_from)


def searches(
    catalog: str, limit: int, material_filter: MaterialFilter | None, view: ViewName
) -> Question[Query, SearchHits | Failed]:
    """Ask for what lies nearest to queries."""
    if not 1 <= limit <= _MAX_LIMIT:
        raise InvalidFieldError(f"a limit is 1 to {_MAX_LIMIT:,}, not {limit}", field="limit")
    asked = SearchRequest(
        catalog=catalog,
        limit=limit,
        filter=None if material_filter is None else material_filter.to_proto(),
        view=view_number(view),
    )

    def request(queries: Sequence[Query]) -> SearchRequest:
        message = SearchRequest(queries=[query.to_proto() for query in queries])
        message.MergeFrom(asked)
        return message

    return Question("Search", request, _read_hits)


def matches(catalog: str, tolerance: MatchTolerance | None) -> Question[Crystal, Matches | Failed]:
    """Ask whether crystals are known."""
    asked = FindMatchesRequest(catalog=catalog, tolerance=None if tolerance is None else tolerance.to_proto())
    return about_crystals("FindMatches", asked, _read_matches)


def embeddings(encoder: str, tower: TowerName) -> Question[Query, Embedding | Failed]:
    """Ask for vectors."""
    number = tower_number(tower)

    def request(inputs: Sequence[Query]) -> EmbedRequest:
        return EmbedRequest(inputs=[query.to_proto() for query in inputs], encoder=encoder, tower=number)

    return Question("Embed", request, _read_embedding)


def materials_request(
    catalog: str, material_filter: MaterialFilter | None, view: ViewName, page_size: int
) -> ListMaterialsRequest:
    """The message that asks for the first page of materials."""
    return ListMaterialsRequest(
        catalog=catalog,
        filter=None if material_filter is None else material_filter.to_proto(),
        view=view_number(view),
        page_size=page_size,
    )


def view_number(view: str) -> MaterialView.ValueType:
    """The enum value of a view; InvalidFieldError for a name that is none."""
    for name, number in VIEWS.items():
        if name == view:
            return number
    raise InvalidFieldError(f"a view is {' or '.join(VIEWS)}, not {view[:80]!r}", field="view")
