"""Looking crystals up: protobuf to dataclasses and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from crystalmesh.retrieval.v1 import match_pb2
from crystalmesh.retrieval.v1.match_pb2 import FindMatchesRequest, FindMatchesResponse
from crystalmesh_common.crystal.matching import MatchTolerance
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError
from crystalmesh_common.runtime.intake import resolve_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_retrieval.catalog.snapshot import Snapshot
from crystalmesh_retrieval.matching.matcher import Matches
from crystalmesh_retrieval.matching.worker import Lookup

_DEFAULT = MatchTolerance()
# Beyond these everything of one formula is the same, and finding that takes minutes.
_MOST = {"length_fraction": 1.0, "site_fraction": 1.0, "angle_degrees": 45.0}


@dataclass(frozen=True)
class MatchOrder:
    """A request that is right as a whole. Its crystals are still as they came."""

    ids: Sequence[str]
    catalog: str
    tolerance: MatchTolerance


def match_order(request: FindMatchesRequest, limits: Limits) -> MatchOrder:
    """Check a request; raises an InvalidRequestError when it fails whole."""
    tolerance = _tolerance(request.tolerance)
    return MatchOrder(
        resolve_ids(request.crystals, max_crystals=limits.crystals_per_call), request.catalog, tolerance
    )


def _tolerance(message: match_pb2.MatchTolerance) -> MatchTolerance:
    values: dict[str, float] = {}
    for field, most in _MOST.items():
        if not message.HasField(field):  # type: ignore[arg-type]  # the names of its fields
            values[field] = getattr(_DEFAULT, field)
            continue
        values[field] = getattr(message, field)
        if not 0 < values[field] <= most:
            raise InvalidFieldError(
                f"tolerance.{field} must be above 0 and at most {most:g}", field=f"tolerance.{field}"
            )
    return MatchTolerance(**values)


async def lookups(
    crystals: AsyncIterator[Crystal | CrystalMeshError], snapshot: Snapshot, tolerance: MatchTolerance
) -> AsyncIterator[Lookup | CrystalMeshError]:
    """What the runner is to look up, or why it cannot."""
    async for crystal in crystals:
        yield crystal if isinstance(crystal, CrystalMeshError) else Lookup(crystal, snapshot, tolerance)


def match_response(
    crystal_id: str, index: int, outcome: Matches | CrystalMeshError, catalog: str, version: str
) -> FindMatchesResponse:
    """The message that reports one crystal's outcome."""
    response = FindMatchesResponse(crystal_id=crystal_id, index=index)
    if isinstance(outcome, CrystalMeshError):
        response.error.CopyFrom(to_status(outcome))
        return response
    response.matches.catalog = catalog
    response.matches.catalog_version = version
    response.matches.compared_count = outcome.compared
    for match in outcome.matches:
        response.matches.matches.add(
            material_id=match.material_id, rms_distance_fraction=match.rms_distance_fraction
        )
    return response
