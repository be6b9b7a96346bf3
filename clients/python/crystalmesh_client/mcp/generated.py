"""The tool that makes new crystals."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated

from mcp.server.mcpserver import Context
from pydantic import BaseModel, Field

from crystalmesh_client.candidates import Candidate, FailedSample, GenerationOutcome
from crystalmesh_client.mcp.answers import Value, values_of
from crystalmesh_client.mcp.faults import Fault, fault_of
from crystalmesh_client.mcp.known_materials import CatalogName
from crystalmesh_client.mcp.progress import Progress
from crystalmesh_client.mcp.reach import OpenMesh
from crystalmesh_client.mcp.texts import OptionalCif, crystal_of
from crystalmesh_client.mcp.wishes import Wishes
from crystalmesh_client.mesh import AsyncMesh
from crystalmesh_client.prompts import GeneratorName, ReferenceLike
from crystalmesh_common.runtime.errors import InvalidFieldError

_MOST_CHARACTERS = 2000


class GeneratedCrystal(BaseModel):
    """A new crystal, as it was made: not relaxed, and nothing said of its stability."""

    index: int = Field(description="Of the sample, from 0.")
    formula: str
    space_group_number: int
    atom_count: int
    is_valid: bool = Field(description="Whether structure and charges are possible at all. Look here first.")
    objections: list[str] = Field(description="What speaks against it, and what it misses of the target.")
    duplicate_of: int | None = Field(description="The earlier sample that it is the same as. Unset: none.")
    predicted: dict[str, Value] = Field(description="What the model that wrote it says of it.")
    transition: str = Field(description="How it was made from its reference, in a model's words: data.")
    reference: str = Field(description='The known material that it was made from. "": none.')
    made_by: str
    seed: str = Field(description="Of this sample, as text: too large for the numbers of some languages.")
    cif: str


class SampleWithoutCrystal(BaseModel):
    """A sample that is no crystal."""

    index: int | None = Field(description="Of the sample, from 0. Unset: all samples.")
    error: Fault


class GeneratedCrystals(BaseModel):
    """What became of all samples."""

    crystals: list[GeneratedCrystal]
    failures: list[SampleWithoutCrystal]


class GeneratingTools:
    """Tools that make crystals."""

    def __init__(self, open_mesh: OpenMesh) -> None:
        self._open_mesh = open_mesh

    async def generate_crystals(
        self,
        context: Context,
        *,
        target: Annotated[Wishes | None, Field(description="What they shall be. Unset: anything.")] = None,
        reference_cif: Annotated[
            OptionalCif, Field(description='A known crystal to start from. "": one is drawn for each sample.')
        ] = "",
        reference_material_id: Annotated[
            str, Field(max_length=200, description="The same by its id from search_materials.")
        ] = "",
        catalog: CatalogName = "",
        samples: Annotated[int, Field(ge=1, le=20, description="Crystals to make.")] = 4,
        generator: Annotated[
            GeneratorName,
            Field(description="ionic_substitution replaces elements; language_model writes crystals."),
        ] = "best",
        max_atoms: Annotated[
            int | None, Field(ge=1, le=200, description="In the cell. Unset: 20, or the model's limit.")
        ] = None,
        seed: Annotated[int, Field(ge=0, le=2**53 - 1, description="Another seed, other crystals.")] = 0,
    ) -> GeneratedCrystals:
        """Make new crystals for a target, starting from known ones.

        Use it for a handful of crystals to judge yourself; for a search that relaxes, scores and ranks by
        itself, use design. What is asked of the composition always holds; symmetry and properties are
        wishes, and `objections` tell what is missed. Afterwards: predict_properties on all, relax_crystal
        and score_stability on the promising ones, match_crystal to see whether they are new.
        """
        wanted = None if target is None or target.is_empty else target.to_target()
        outcomes: list[GenerationOutcome] = []
        async with self._open_mesh() as mesh, Progress(context, samples, "generating").reported() as progress:
            reference = await _reference(mesh, reference_cif, reference_material_id, catalog)
            stream = mesh.generation.generate_stream(
                wanted,
                reference=reference,
                samples=samples,
                generator=generator,
                max_atoms=max_atoms,
                seed=seed,
            )
            async with aclosing(stream):
                async for outcome in stream:
                    outcomes.append(outcome)
                    await progress.reached(len(outcomes))
        return _all_told(outcomes)


async def _reference(mesh: AsyncMesh, cif: str, material_id: str, catalog: str) -> ReferenceLike | None:
    if cif and material_id:
        raise InvalidFieldError(
            "give `reference_cif` or `reference_material_id`, not both", field="reference_cif"
        )
    if cif:
        return await crystal_of(cif)
    return await mesh.retrieval.material(material_id, catalog=catalog) if material_id else None


def _all_told(outcomes: list[GenerationOutcome]) -> GeneratedCrystals:
    crystals: list[GeneratedCrystal] = []
    failures: list[SampleWithoutCrystal] = []
    for outcome in outcomes:
        if isinstance(outcome, Candidate):
            crystals.append(_generated(outcome))
        elif isinstance(outcome, FailedSample):
            if outcome.sample_index is None:
                raise outcome.error
            failures.append(SampleWithoutCrystal(index=outcome.sample_index, error=fault_of(outcome.error)))
        else:
            fault = Fault(
                reason="PARSE_FAILURE",
                message=f"the model wrote no crystal: {outcome.message}"[:_MOST_CHARACTERS],
                hint="Ask for more samples, or with another seed.",
            )
            failures.append(SampleWithoutCrystal(index=outcome.sample_index, error=fault))
    return GeneratedCrystals(
        crystals=sorted(crystals, key=lambda each: each.index),
        failures=sorted(failures, key=lambda each: each.index or 0),
    )


def _generated(candidate: Candidate) -> GeneratedCrystal:
    transition = candidate.transition
    _, _, position = candidate.duplicate_of.rpartition("-")  # "0-3": of the only prompt, the fourth sample
    return GeneratedCrystal(
        index=candidate.sample_index,
        formula=candidate.formula,
        space_group_number=candidate.space_group_number,
        atom_count=len(candidate.crystal),
        is_valid=candidate.is_valid,
        objections=candidate.validity.objections,
        duplicate_of=int(position) if position.isdecimal() else None,
        predicted=values_of(candidate.predicted),
        transition="" if transition is None else transition.text[:_MOST_CHARACTERS],
        reference=candidate.origin.reference_id,
        made_by=str(candidate.origin),
        seed=str(candidate.origin.seed),
        cif=candidate.cif,
    )
