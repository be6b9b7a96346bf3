"""Matching as a runner's worker, so that callers take turns and those who left are not waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crystalmesh_common.crystal.matching import MatchTolerance
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.runner import Answer, Runner
from crystalmesh_retrieval.catalog.snapshot import Snapshot
from crystalmesh_retrieval.matching.matcher import CatalogMatcher, Matches


@dataclass(frozen=True, eq=False)
class Lookup:
    """A crystal to look up."""

    crystal: Crystal
    snapshot: Snapshot
    tolerance: MatchTolerance


MatchingRunner = Runner[str, Lookup, Matches]


class MatchingWorker:
    """Looks crystals up, one a batch."""

    def __init__(self, matcher: CatalogMatcher) -> None:
        self._matcher = matcher

    def cost(self, item: Lookup) -> float:
        return 1.0

    def run(self, key: str, items: Sequence[Lookup]) -> Sequence[Answer[Matches]]:
        return [self._matcher.find(item.crystal, item.snapshot, item.tolerance) for item in items]

    def close(self) -> None:
        """There is nothing to let go of."""
