"""The order of what was found: the same structure or the named formula first, then the nearest."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh_retrieval.matching.matcher import CatalogMatcher
from crystalmesh_retrieval.worker import Found, FoundHit


def ranked(found: Found, matcher: CatalogMatcher) -> Sequence[FoundHit]:
    """The hits of a search, at most as many as it asked for. Takes some milliseconds for a crystal."""
    crystal, plan = found.search.crystal, found.search.plan
    first = list(found.same_formula)
    if crystal is not None:
        same = matcher.same(crystal, plan.catalog.snapshot, [hit.location for hit in first])
        first = [hit for hit, is_same in zip(first, same, strict=True) if is_same]
    known = {hit.location for hit in first}
    return [*first, *(hit for hit in found.hits if hit.location not in known)][: plan.limit]
