"""What is looked for: words, targets, crystals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crystalmesh.retrieval.v1 import search_pb2
from crystalmesh_client.conditions import Target, check_encodable
from crystalmesh_client.inputs import CrystalLike, distinct, is_crystal, to_crystal, to_inputs
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError


@dataclass(frozen=True, eq=False)
class Query:
    """Words, a target or a crystal, and a name for it."""

    sought: str | Target | CrystalLike
    id: str = ""  # empty: the crystal's, else its position in the list

    def to_proto(self) -> search_pb2.Query:
        """The message; raises what is wrong with a crystal."""
        message = search_pb2.Query(id=self.id)
        if isinstance(self.sought, str):
            check_encodable(self.sought, "text")
            message.text = self.sought
        elif isinstance(self.sought, Target):
            message.target.CopyFrom(self.sought.to_proto())
        else:
            message.crystal.CopyFrom(to_inputs([replace(to_crystal(self.sought), id=self.id)])[0])
        return message


QueryLike = Query | str | Target | CrystalLike


def is_one_query(given: object) -> bool:
    """Whether it is one query, and not several."""
    return isinstance(given, Query | str | Target) or is_crystal(given)


def to_queries(given: Iterable[QueryLike]) -> list[Query]:
    """All queries, each with an id: its own, its crystal's, or its position; DuplicateIdError for twins."""
    if is_one_query(given):
        raise InvalidFieldError("queries are given as a list; this is a single one", field="queries")
    return distinct((_named(position, item) for position, item in enumerate(given)), "queries")


def _named(position: int, item: QueryLike) -> Query:
    query = item if isinstance(item, Query) else Query(item)
    if not is_one_query(query.sought):
        raise InvalidFieldError(
            f"a query is text, a Target or a crystal, not {type(query.sought).__name__}", field="queries"
        )
    if not isinstance(query.sought, str | Target):
        query = replace(query, sought=to_crystal(query.sought))
    inherited = query.sought.id if isinstance(query.sought, Crystal) else ""
    return replace(query, id=query.id or inherited or str(position))
