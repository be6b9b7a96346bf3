"""A mesh without servers: an invented chemistry that answers the same each time, and has troubles."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np

from crystalmesh.common.v1.model_pb2 import ModelInfo
from crystalmesh.crystal.v1.property_pb2 import Property, PropertyValue, SourceKind, ValueSource
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.crystal.v1.validity_pb2 import Validity
from crystalmesh.generation.v1.candidate_pb2 import (
    Candidate,
    LanguageModelOrigin,
    ParseFailure,
    ParseFailureKind,
    SampleOrigin,
    SubstitutionOrigin,
)
from crystalmesh.generation.v1.generation_pb2 import (
    GenerateRequest,
    GenerateResponse,
    GenerationPrompt,
    Generator,
)
from crystalmesh.generation.v1.generation_service_pb2 import GenerationModel
from crystalmesh.property.v1.prediction_pb2 import Prediction
from crystalmesh.relaxation.v1.evaluation_pb2 import Evaluation
from crystalmesh.relaxation.v1.relaxation_pb2 import Relaxation, StopReason
from crystalmesh.retrieval.v1.catalog_pb2 import Catalog
from crystalmesh.retrieval.v1.filter_pb2 import MaterialFilter
from crystalmesh.retrieval.v1.match_pb2 import Match, Matches
from crystalmesh.retrieval.v1.material_pb2 import Material
from crystalmesh.retrieval.v1.search_pb2 import SearchHit, SearchHits
from crystalmesh.stability.v1.hull_pb2 import HullDistance
from crystalmesh.stability.v1.reference_pb2 import ElementalEnergy, Reference, ReferenceSummary
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import Failed
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InternalError,
    ModelFailedError,
    ModelNotFoundError,
    QueueFullError,
    ResourceNotFoundError,
    UnavailableError,
    UnreachableError,
)
from crystalmesh_common.runtime.statuses import to_status

CATALOG, CATALOG_VERSION = "small", "7"
REFERENCE = "hull"
LANGUAGE_MODEL = "tiny-lm"
PROPERTY_MODEL = "gap-net"
POTENTIAL = "potential-a"

_HULL, _ELEMENT = -5.0, -3.0
"""Energies of the potential, in eV per atom, wherever the hull is and of whatever element."""

_PARTNERS = (9, 11, 12, 13, 14, 15, 16, 17, 19, 20, 22, 26, 30, 38, 56)
_SITES = np.array(
    [
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5]],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]],
        [[0, 0, 0], [0.5, 0.5, 0.12], [0.1, 0.6, 0.5], [0.6, 0.1, 0.62]],
    ]
)


@dataclass(frozen=True)
class Asked:
    """A question, before it is answered."""

    call: str
    service: str
    subjects: Sequence[str]  # what it is about: crystals, prompts


Trouble = Callable[[Asked], Awaitable[None]]
"""What may happen to a question: it waits, or it raises what the service answers instead."""


@dataclass
class Refusing:
    """A service that answers so many calls with an error, then is well."""

    service: str
    error: CrystalMeshError
    left: int = 1

    async def __call__(self, asked: Asked) -> None:
        if asked.service == self.service and self.left > 0:
            self.left -= 1
            raise self.error


def down(service: str, calls: int = 1) -> Refusing:
    return Refusing(service, UnreachableError(f"{service} is not there"), calls)


def full(service: str, calls: int = 1) -> Refusing:
    return Refusing(service, QueueFullError("too much to do", retry_after_seconds=0.005), calls)


@dataclass
class Delays:
    """Answers take up to so long, as chance will have it."""

    chance: random.Random
    seconds: float

    async def __call__(self, asked: Asked) -> None:
        await asyncio.sleep(self.chance.uniform(0, self.seconds))


@dataclass
class Stuck:
    """Calls of this name hang until they are let go, or their caller leaves."""

    call: str
    waiting: int = 0
    left: int = 0  # callers that did not wait for the answer
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, asked: Asked) -> None:
        if asked.call != self.call:
            return
        self.waiting += 1
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        finally:
            self.waiting -= 1


class ScriptedMesh:
    """A `CampaignMesh`. Counts what it has answered: `answered["relax", candidate_id]`.

    Some samples are no crystals, impossible, off target or repeated; some crystals are known, fail, do not
    relax or lie high above the hull. All of it follows from the question.
    """

    def __init__(self, *troubles: Trouble) -> None:
        self.troubles = list(troubles)
        self.answered: Counter[tuple[str, str]] = Counter()
        self.materials = {f"m-{number}": _material(number) for number in range(14)}
        self.closed = False
        self.forgotten: list[str] = []

    async def search(
        self, target: Target, *, catalog: str, limit: int, material_filter: MaterialFilter | None = None
    ) -> SearchHits:
        await self._answer("search", "retrieval", ["target"])
        required = set() if material_filter is None else set(material_filter.required_elements)
        found = [each for each in self.materials.values() if required <= set(each.crystal.atomic_numbers)]
        hits = [
            SearchHit(similarity=_share("near", material.id, target.SerializeToString()), material=material)
            for material in found
        ]
        hits.sort(key=lambda hit: -hit.similarity)
        return SearchHits(hits=hits[:limit], catalog=catalog, catalog_version=CATALOG_VERSION)

    async def material(self, catalog: str, material_id: str) -> Material:
        await self._answer("material", "retrieval", [material_id])
        if catalog not in ("", CATALOG) or material_id not in self.materials:
            raise ResourceNotFoundError(f"no material {material_id}", resource="material", id=material_id)
        return self.materials[material_id]

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateResponse, None]:
        await self._answer("generate", "generation", [prompt.id for prompt in request.prompts])
        for index, prompt in enumerate(request.prompts):
            response = GenerateResponse(prompt_id=prompt.id, index=index, sample_index=0)
            _write(response, prompt, request)
            yield response

    async def predict(self, crystals: Sequence[Crystal], model: str) -> Mapping[str, Prediction | Failed]:
        await self._answer("predict", "property", [crystal.id for crystal in crystals])
        return {crystal.id: _predicted(crystal) for crystal in crystals}

    async def relax(self, crystal: Crystal, model: str, options: RelaxOptions) -> Relaxation:
        await self._answer("relax", "relaxation", [crystal.id])
        fate = _share("relax", model, _shape(crystal))
        if fate < 0.06:
            raise ModelFailedError("the potential gave no numbers")
        limit, steps = options.energy_limit_ev_per_atom, options.energy_limit_after_steps
        above = _above(crystal, REFERENCE)
        early = _HULL + above + 0.05
        if limit is not None and steps is not None and early > limit:
            return _relaxation(crystal, model, StopReason.STOP_REASON_ENERGY_LIMIT, steps, early)
        ends = StopReason.STOP_REASON_STEP_LIMIT if fate < 0.12 else StopReason.STOP_REASON_CONVERGED
        relaxed = replace(crystal, cell=crystal.cell * (0.97 + 0.06 * fate))
        return _relaxation(relaxed, model, ends, 3 + int(20 * fate), _HULL + above)

    async def hull_energy(self, formula: str, reference: ReferenceSummary) -> float:
        await self._answer("hull", "relaxation", [formula])
        return _HULL - _ELEMENT

    async def score(self, crystal: Crystal, reference: str) -> HullDistance:
        await self._answer("score", "relaxation", [crystal.id])
        above = _above(crystal, reference)
        if above > 0.33:
            raise InternalError("no phase diagram")
        return HullDistance(
            energy_above_hull_ev_per_atom=above,
            formation_energy_ev_per_atom=above - 2,
            formula=reduced_formula(crystal),
            reference=ReferenceSummary(name=reference),
            model=POTENTIAL,
        )

    async def matches(self, crystals: Sequence[Crystal], catalog: str) -> Mapping[str, Matches | Failed]:
        await self._answer("matches", "retrieval", [crystal.id for crystal in crystals])
        return {crystal.id: _matches(crystal, catalog) for crystal in crystals}

    async def catalog(self, name: str) -> Catalog:
        await self._answer("catalog", "retrieval", [name])
        if name not in ("", CATALOG):
            raise ResourceNotFoundError(f"there is no catalog {name}", resource="catalog", id=name)
        return Catalog(name=CATALOG, version=CATALOG_VERSION)

    async def reference(self, name: str) -> Reference:
        await self._answer("reference", "relaxation", [name])
        if name not in ("", REFERENCE):
            raise ResourceNotFoundError(f"there is no reference {name}", resource="reference", id=name)
        elements = [
            ElementalEnergy(atomic_number=number, energy_ev_per_atom=_ELEMENT, model=POTENTIAL)
            for number in (3, 8, *_PARTNERS)
        ]
        return Reference(summary=ReferenceSummary(name=REFERENCE), elemental_energies=elements)

    async def generation_models(self) -> Sequence[GenerationModel]:
        await self._answer("generation_models", "generation", [])
        return [GenerationModel(model=ModelInfo(name=LANGUAGE_MODEL))]

    async def property_models(self) -> Sequence[str]:
        await self._answer("property_models", "property", [])
        return [PROPERTY_MODEL]

    async def potentials(self) -> Sequence[str]:
        await self._answer("potentials", "relaxation", [])
        return [POTENTIAL, "potential-b"]

    async def close(self) -> None:
        self.closed = True

    def forget(self, service: str, error: Exception) -> None:
        assert isinstance(error, UnavailableError)
        self.forgotten.append(service)

    async def _answer(self, call: str, service: str, subjects: Sequence[str]) -> None:
        for trouble in self.troubles:
            await trouble(Asked(call, service, subjects))
        self.answered.update((call, subject) for subject in subjects)


def gone(call: str) -> Trouble:
    """Whatever a call of this name needs is not served any more."""

    async def refuse(asked: Asked) -> None:
        if asked.call == call:
            raise ModelNotFoundError("it was taken away", model="it")

    return refuse


def _share(*of: object) -> float:
    """A number in [0, 1) that follows from these."""
    return int.from_bytes(sha256(repr(of).encode()).digest()[:6], "big") / 2**48


def _shape(crystal: Crystal) -> object:
    rounded = np.round(crystal.frac_coords, 4), np.round(crystal.cell, 4)
    return crystal.numbers.tolist(), *(each.tolist() for each in rounded)


def _drawn(required: Collection[int], *by: object) -> Crystal:
    """A crystal of the required elements and one or two more, in one of three arrangements."""
    numbers = sorted(required)
    while len(numbers) < 3 + (_share("more", *by) < 0.4):
        numbers.append(_PARTNERS[int(len(_PARTNERS) * _share("partner", len(numbers), *by))])
    sites = _SITES[int(len(_SITES) * _share("sites", *by))][: len(numbers)]
    lengths = 3.6 + 1.2 * np.array([_share("length", axis, *by) for axis in range(3)])
    return Crystal(np.diag(lengths), np.array(numbers[: len(sites)]), sites.astype(float), "drawn")


def _material(number: int) -> Material:
    crystal = replace(_drawn([3, 8] if number % 2 else [8], "material", number), id=f"m-{number}")
    gap = PropertyValue(property=Property.PROPERTY_BAND_GAP_EV, value=6 * _share("gap", number), unit="eV")
    return Material(
        id=crystal.id,
        crystal=crystal_to_proto(crystal),
        formula=reduced_formula(crystal),
        atom_count=len(crystal),
        properties=[gap],
        catalog=CATALOG,
    )


def _write(response: GenerateResponse, prompt: GenerationPrompt, request: GenerateRequest) -> None:
    """What a generator makes of a sample."""
    reference_id = prompt.reference.crystal.id
    by = prompt.id, reference_id, request.generator, sorted(prompt.target.forbidden_elements)
    fate = _share("sample", request.sampling.seed, *by)
    if fate < 0.05:
        response.ClearField("sample_index")
        response.error.CopyFrom(to_status(InternalError("the model wrote nothing")))
        return
    origin = SampleOrigin(reference_id=reference_id, seed=int(2**48 * fate))
    if request.generator == Generator.GENERATOR_IONIC_SUBSTITUTION:
        origin.ionic_substitution.CopyFrom(SubstitutionOrigin(table_version="1", probability=fate))
    else:
        origin.language_model.CopyFrom(LanguageModelOrigin(model=request.model, model_version="1"))
    if fate < 0.12:
        kind = ParseFailureKind.PARSE_FAILURE_KIND_MALFORMED
        failure = ParseFailure(kind=kind, message="no crystal", alx_text=f"words {fate}", origin=origin)
        response.parse_failure.CopyFrom(failure)
        return
    # Some get the elements wrong, and some write what others have written.
    required = [7] if fate > 0.95 else prompt.target.required_elements
    crystal = _drawn(required, "again") if fate > 0.9 else _drawn(required, fate)
    crystal = replace(crystal, id=f"{prompt.id}-0")
    text = "\n".join([" ".join(map(str, crystal.cell.diagonal())), *map(str, crystal.numbers)])
    made = Candidate(crystal=crystal_to_proto(crystal), alx_text=text, origin=origin)
    made.validity.CopyFrom(_validity(crystal, fate))
    response.candidate.CopyFrom(made)


def _validity(crystal: Crystal, fate: float) -> Validity:
    return Validity(
        structure_valid=not 0.12 <= fate < 0.16,
        composition_valid=not 0.16 <= fate < 0.22,
        shortest_distance_angstrom=0.3 if fate < 0.16 else 2.0,
        volume_cubic_angstrom=crystal.volume,
        formula=reduced_formula(crystal),
    )


def _predicted(crystal: Crystal) -> Prediction | Failed:
    fate = _share("predict", _shape(crystal))
    if fate < 0.04:
        return Failed(crystal.id, ModelFailedError("the network gave no number"))
    source = ValueSource(kind=SourceKind.SOURCE_KIND_PREDICTION, name=PROPERTY_MODEL, version="3")
    gap = PropertyValue(property=Property.PROPERTY_BAND_GAP_EV, value=8 * fate, unit="eV", source=source)
    gap.uncertainty = 0.4
    return Prediction(values=[gap], out_of_domain=fate > 0.95)


def _matches(crystal: Crystal, catalog: str) -> Matches | Failed:
    fate = _share("known", catalog, _shape(crystal))
    if fate < 0.03:
        return Failed(crystal.id, InternalError("cannot be compared"))
    found = Matches(catalog=catalog, catalog_version=CATALOG_VERSION, compared_count=3)
    if fate < 0.12:
        found.matches.append(Match(material_id="m-1"))
    return found


def _relaxation(
    crystal: Crystal, model: str, ends: StopReason.ValueType, steps: int, energy_ev_per_atom: float
) -> Relaxation:
    forces = [0.1] * 3 * len(crystal)
    final = energy_ev_per_atom * len(crystal)
    return Relaxation(
        crystal=crystal_to_proto(crystal),
        converged=ends == StopReason.STOP_REASON_CONVERGED,
        stop_reason=ends,
        steps=steps,
        initial=Evaluation(model=model, energy_ev=final + 1, forces_ev_per_angstrom=forces),
        final=Evaluation(model=model, energy_ev=final, forces_ev_per_angstrom=forces),
    )


def _above(crystal: Crystal, reference: str) -> float:
    """How far a crystal lies above the hull, in eV per atom."""
    return 0.35 * _share("hull", reference, _shape(crystal)) ** 1.5
