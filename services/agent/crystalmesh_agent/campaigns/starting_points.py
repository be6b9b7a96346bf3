"""Where new crystals may start: materials of a catalog, and candidates of the campaign that did well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, StartingMaterial
from crystalmesh.crystal.v1.property_pb2 import Property, PropertyValue
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.transition_pb2 import ReferenceMaterial
from crystalmesh.retrieval.v1.filter_pb2 import MaterialFilter
from crystalmesh.retrieval.v1.material_pb2 import Material
from crystalmesh.retrieval.v1.search_pb2 import SearchHits
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_agent.planning.planner import StartingPoint
from crystalmesh_agent.store.progress import RANKED_STATES

_PER_SEARCH = 40
_MAX_ATOMS = 20
"""Of a crystal to start from: generators write no larger ones unless they are asked to."""
_BEST_CANDIDATES = 12
_FULFILS = 0.5
"""What a material that fulfils the target itself is worth above one that is only near it."""


class StartingPoints:
    """All that a campaign may start from, the materials found once, in an order that repeats."""

    def __init__(self, workplace: Workplace) -> None:
        self._spec = workplace.spec
        self._mesh = workplace.mesh
        self._patience = workplace.patience
        self._clocks = workplace.clocks
        self._journal = workplace.journal
        self._references: dict[tuple[str, str], ReferenceMaterial] = {}  # by catalog and id
        self._known: list[StartingPoint] = []

    async def retrieve(self) -> None:
        """Find the materials nearest to the target, those that fulfil it first."""
        if self._spec.skip_retrieval:
            return
        target = self._spec.target
        found: dict[str, StartingPoint] = {}
        hit_count = 0
        for bonus, material_filter in _searches(target):
            hits = await self._patience.ask("retrieval", partial(self._search, material_filter))
            hit_count += len(hits.hits)
            for hit in hits.hits:
                if hit.material.atom_count <= _MAX_ATOMS and hit.material.id not in found:
                    found[hit.material.id] = self._point_of(hit.material, hits, hit.similarity, bonus)
        self._known = list(found.values())
        self._clocks.retrieved, self._clocks.chosen = hit_count, len(self._known)

    def now(self, settled: Iterable[CampaignCandidate]) -> Sequence[StartingPoint]:
        """The materials, and the best of the candidates that are through all stages."""
        if self._spec.skip_retrieval:
            return []
        ranked = [candidate for candidate in settled if is_ranked(candidate)]
        best = sorted(ranked, key=lambda candidate: -candidate.target_fit.score)[:_BEST_CANDIDATES]
        return [*self._known, *map(_point_of_candidate, best)]

    async def reference(self, material: StartingMaterial) -> ReferenceMaterial:
        """The crystal to start from, with what is known of it."""
        key = (material.catalog, material.material_id)
        if not material.catalog:
            return _reference_of_candidate(self._journal.candidates[material.material_id])
        if key not in self._references:  # planned before the catalog was changed
            whole = await self._patience.ask("retrieval", lambda: self._mesh.material(*key))
            self._references[key] = _reference_of(whole)
        return self._references[key]

    async def _search(self, material_filter: MaterialFilter | None) -> SearchHits:
        return await self._mesh.search(
            self._spec.target, catalog=self._spec.catalog, limit=_PER_SEARCH, material_filter=material_filter
        )

    def _point_of(
        self, material: Material, hits: SearchHits, similarity: float, bonus: float
    ) -> StartingPoint:
        self._references[hits.catalog, material.id] = _reference_of(material)
        near = max(0.0, min(1.0, similarity))
        return StartingPoint(
            material=StartingMaterial(
                catalog=hits.catalog,
                catalog_version=hits.catalog_version,
                material_id=material.id,
                formula=material.formula,
                similarity=similarity,
            ),
            elements=frozenset(material.crystal.atomic_numbers),
            values={value.property: value.value for value in material.properties},
            promise=bonus + (1 - bonus) * near,
        )


def _searches(target: Target) -> Iterable[tuple[float, MaterialFilter | None]]:
    """What to look for, the best first: what is asked, its chemistry alone, what is near."""
    chemistry = MaterialFilter(
        required_elements=target.required_elements,
        allowed_elements=target.allowed_elements,
        forbidden_elements=target.forbidden_elements,
        chemical_system=target.chemical_system,
    )
    whole = MaterialFilter()
    whole.CopyFrom(chemistry)
    whole.properties.extend(
        wanted for wanted in target.properties if wanted.property != Property.PROPERTY_ATOMS_IN_CELL
    )
    if whole.properties:
        yield _FULFILS, whole
    if chemistry.ByteSize():
        yield _FULFILS / 2, chemistry
    yield 0.0, None


def _reference_of(material: Material) -> ReferenceMaterial:
    reference = ReferenceMaterial(
        structure_description=material.structure_description, properties=_one_each(material)
    )
    reference.crystal.crystal.CopyFrom(material.crystal)
    reference.crystal.id = material.id
    return reference


def _point_of_candidate(candidate: CampaignCandidate) -> StartingPoint:
    return StartingPoint(
        material=StartingMaterial(material_id=candidate.id, formula=candidate.generated.validity.formula),
        elements=frozenset(candidate.relaxation.crystal.atomic_numbers),
        values={value.property: value.value for value in candidate.properties},
        promise=candidate.target_fit.score,
    )


def _reference_of_candidate(candidate: CampaignCandidate) -> ReferenceMaterial:
    reference = ReferenceMaterial(properties=candidate.properties)
    reference.crystal.crystal.CopyFrom(candidate.relaxation.crystal)
    reference.crystal.id = reference.crystal.crystal.id = candidate.id
    return reference


def _one_each(material: Material) -> Sequence[PropertyValue]:
    return list({value.property: value for value in material.properties}.values())


def is_ranked(candidate: CampaignCandidate) -> bool:
    """Whether a candidate came through all stages."""
    return candidate.state in RANKED_STATES
