"""What a spec leaves to the services, filled in when a campaign is created; what it names must be served."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_common.runtime.errors import ModelNotFoundError, ResourceNotFoundError

_LANGUAGE_MODEL = Generator.GENERATOR_LANGUAGE_MODEL
_SUBSTITUTION = Generator.GENERATOR_IONIC_SUBSTITUTION


async def resolved(spec: CampaignSpec, mesh: CampaignMesh, planners: Collection[str]) -> CampaignSpec:
    """The spec with the services' defaults of this moment; which property models answer stays open.

    Raises ResourceNotFoundError and ModelNotFoundError for what is not served, and UnavailableError while a
    service cannot be asked.
    """
    if spec.planner not in planners:
        raise ResourceNotFoundError(
            f"there is no planner {spec.planner[:80]!r}; there are {', '.join(sorted(planners))}",
            resource="planner",
            id=spec.planner,
        )
    full = CampaignSpec()
    full.CopyFrom(spec)
    full.catalog = (await mesh.catalog(spec.catalog)).name
    full.reference = (await mesh.reference(spec.reference)).summary.name
    full.models.potential = _served(spec.models.potential, await mesh.potentials(), "potential")
    if spec.models.property:
        _served(spec.models.property, await mesh.property_models(), "property model")
    models = [entry.model.name for entry in await mesh.generation_models()]
    wanted = list(spec.generators) or [_SUBSTITUTION, *([_LANGUAGE_MODEL] if models else [])]
    if _LANGUAGE_MODEL in wanted:
        full.models.generation = _served(spec.models.generation, models, "language model")
    full.generators[:] = wanted
    return full


def _served(name: str, served: Sequence[str], kind: str) -> str:
    if not name and served:
        return served[0]
    if name not in served:
        raise ModelNotFoundError(
            f"no {kind} {name[:80]!r} is served here; there is {', '.join(served) or 'none'}", model=name
        )
    return name
