"""Tools that compute with crystals: predictions, relaxations, stability."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, TypeVar

from mcp.server.mcpserver import Context
from pydantic import BaseModel, Field, FiniteFloat

from crystalmesh_client.batches import Named
from crystalmesh_client.hulls import HullDistance
from crystalmesh_client.mcp.answers import Value, values_of
from crystalmesh_client.mcp.faults import Fault, fault_of
from crystalmesh_client.mcp.progress import Progress
from crystalmesh_client.mcp.reach import OpenMesh
from crystalmesh_client.mcp.texts import Cif, cif_of, crystal_of, crystals_of, finite
from crystalmesh_client.predictions import Prediction
from crystalmesh_client.properties import PropertyName
from crystalmesh_client.relax_options import CellModeName, RelaxOptions
from crystalmesh_client.results import Failed, Relaxation, result_of
from crystalmesh_client.trajectories import RelaxationFrame
from crystalmesh_common.runtime.errors import CrystalMeshError, InternalError

_FRAMES_EVERY_STEPS = 10
"""How often a relaxation says how far it is."""

Cifs = Annotated[list[Cif], Field(min_length=1, max_length=20, description="One to 20 crystals, a CIF each.")]
ResultT = TypeVar("ResultT", bound=Named)

ModelName = Annotated[str, Field(max_length=200, description='Name of the model. "": the default.')]


class PredictedCrystal(BaseModel):
    """What models say of one crystal."""

    index: int = Field(description="Its place in `cifs`, from 0.")
    formula: str = ""
    properties: dict[str, Value] = Field(default_factory=dict, description="By name; the unit is in it.")
    out_of_domain: bool = Field(
        default=False,
        description="Unlike the training data: rely on neither values nor uncertainties.",
    )
    warnings: list[str] = Field(default_factory=list, description="What is unlike.")
    error: Fault | None = Field(None, description="Why there is no result, where there is none.")


class Predictions(BaseModel):
    """A prediction, or an error, for each crystal in the order given."""

    crystals: list[PredictedCrystal]


class RelaxedCrystal(BaseModel):
    """Where a crystal ended when it was relaxed."""

    converged: bool = Field(description="False: not at a minimum, `stop_reason` says why. Look here first.")
    stop_reason: str
    formula: str
    atom_count: int
    steps: int
    energy_ev_per_atom: float | None
    initial_energy_ev_per_atom: float | None
    max_force_ev_per_angstrom: float | None = Field(description="Left at the end.")
    max_stress_gpa: float | None = Field(description="Left at the end; 0 where the cell was fixed.")
    volume_change_percent: float | None
    model: str = Field(description="The potential; energies of different ones do not compare.")
    cif: str = Field(description="The relaxed crystal.")


class CrystalStability(BaseModel):
    """Where one crystal lies against the convex hull."""

    index: int = Field(description="Its place in `cifs`, from 0.")
    formula: str = ""
    energy_above_hull_ev_per_atom: float | None = Field(
        None, description="0: stable; up to about 0.1: perhaps metastable; negative: stabler than all known."
    )
    formation_energy_ev_per_atom: float | None = None
    decomposes_into: str = Field("", description="What it would fall apart into, with shares of the atoms.")
    competing_entry_count: int = Field(0, description="Known phases of its elements; few: a doubtful hull.")
    reference: str = Field("", description="The set of phases that it was held against.")
    self_consistent: bool = Field(
        default=False, description="One potential gave its and the reference's energies."
    )
    relaxation_converged: bool | None = Field(None, description="Unset: it was not relaxed.")
    relaxed_cif: str = Field("", description='The crystal that was scored. "": the one given.')
    error: Fault | None = Field(None, description="Why there is no result, where there is none.")


class Stabilities(BaseModel):
    """A hull distance, or an error, for each crystal in the order given."""

    crystals: list[CrystalStability]


class ComputingTools:
    """Tools that compute with crystals."""

    def __init__(self, open_mesh: OpenMesh) -> None:
        self._open_mesh = open_mesh

    async def predict_properties(
        self,
        context: Context,
        *,
        cifs: Cifs,
        properties: Annotated[
            list[PropertyName] | None, Field(min_length=1, max_length=8, description="Unset: all there are.")
        ] = None,
        model: ModelName = "",
    ) -> Predictions:
        """Predict band gap, formation energy, hull distance, moduli and magnetization by trained models.

        Fast, well under a second a crystal: use it to choose among many crystals before you relax few.
        Look at `out_of_domain` first. For stability, score_stability is more reliable.
        """
        crystals, unreadable = await crystals_of(cifs)
        results: dict[int, Prediction] = {}
        async with (
            self._open_mesh() as mesh,
            Progress(context, len(cifs), "predicting").reported() as progress,
        ):
            if crystals:
                outcomes = mesh.property.predict_many(crystals, properties, model=model)
                results = await _collected(outcomes, unreadable, progress)
        _raise_where_all_failed(results, unreadable)
        return Predictions(
            crystals=[
                _predicted(index, results[index])
                if index in results
                else PredictedCrystal(index=index, error=fault_of(unreadable[index]))
                for index in range(len(cifs))
            ]
        )

    async def relax_crystal(
        self,
        context: Context,
        *,
        cif: Cif,
        cell: Annotated[
            CellModeName, Field(description="full: atoms and cell move; volume: only its size; fixed: atoms.")
        ] = "full",
        max_force_ev_per_angstrom: Annotated[
            FiniteFloat, Field(ge=0.001, le=1, description="Stop once no atom feels more.")
        ] = 0.05,
        max_steps: Annotated[int, Field(ge=1, le=2000)] = 500,
        pressure_gpa: Annotated[FiniteFloat, Field(ge=-50, le=500)] = 0.0,
        preserve_symmetry: Annotated[bool, Field(description="Keep the space group.")] = False,
        model: ModelName = "",
    ) -> RelaxedCrystal:
        """Move atoms and cell of a crystal to the nearest energy minimum, with a machine-learned potential.

        Use it before you compare energies, match or judge a crystal that was generated or edited. Seconds
        to minutes, longer for many atoms; progress counts steps. Check `converged`.
        """
        crystal = await crystal_of(cif)
        options = RelaxOptions(
            cell=cell,
            max_force_ev_per_angstrom=max_force_ev_per_angstrom,
            max_steps=max_steps,
            pressure_gpa=pressure_gpa,
            preserve_symmetry=preserve_symmetry,
        )
        async with self._open_mesh() as mesh, Progress(context, max_steps, "relaxing").reported() as progress:
            moments = mesh.relaxation.relax_frames_many(
                [crystal], options, every=_FRAMES_EVERY_STEPS, model=model
            )
            relaxation = await _ended(moments, progress)
        return RelaxedCrystal(
            converged=relaxation.converged,
            stop_reason=relaxation.stop_reason,
            formula=relaxation.formula,
            atom_count=len(relaxation.crystal),
            steps=relaxation.steps,
            energy_ev_per_atom=finite(relaxation.energy_ev_per_atom),
            initial_energy_ev_per_atom=finite(relaxation.initial.energy_ev_per_atom),
            max_force_ev_per_angstrom=finite(relaxation.max_force_ev_per_angstrom),
            max_stress_gpa=finite(relaxation.max_stress_gpa),
            volume_change_percent=finite(100 * (relaxation.crystal.volume / crystal.volume - 1), 3),
            model=relaxation.final.model,
            cif=cif_of(relaxation.crystal),
        )

    async def score_stability(
        self,
        context: Context,
        *,
        cifs: Cifs,
        relax_first: Annotated[
            bool, Field(description="False only for crystals that relax_crystal has relaxed.")
        ] = True,
        reference: Annotated[
            str, Field(max_length=200, description='Phases to hold them against. "": the default.')
        ] = "",
        model: ModelName = "",
    ) -> Stabilities:
        """Whether crystals would last: their energy above the convex hull of known phases, in eV/atom.

        Use it for the final judgement of a crystal. It says what a crystal would decompose into. With
        relax_first it takes seconds to minutes a crystal. Distances compare within one reference only.
        """
        crystals, unreadable = await crystals_of(cifs)
        results: dict[int, HullDistance] = {}
        async with self._open_mesh() as mesh, Progress(context, len(cifs), "scoring").reported() as progress:
            if crystals:
                outcomes = mesh.stability.score_many(
                    crystals, reference=reference, relax_first=relax_first, model=model
                )
                results = await _collected(outcomes, unreadable, progress)
        _raise_where_all_failed(results, unreadable)
        return Stabilities(
            crystals=[
                _stability(index, results[index])
                if index in results
                else CrystalStability(index=index, error=fault_of(unreadable[index]))
                for index in range(len(cifs))
            ]
        )


async def _collected(
    outcomes: AsyncGenerator[ResultT | Failed, None],
    unreadable: dict[int, CrystalMeshError],
    progress: Progress,
) -> dict[int, ResultT]:
    """Results by the position that crystals are named after; what failed is added to the unreadable."""
    results: dict[int, ResultT] = {}
    async with aclosing(outcomes):
        async for outcome in outcomes:
            if isinstance(outcome, Failed):
                unreadable[int(outcome.id)] = outcome.error
            else:
                results[int(outcome.id)] = outcome
            await progress.reached(len(results) + len(unreadable))
    return results


def _raise_where_all_failed(results: Mapping[int, object], failures: Mapping[int, CrystalMeshError]) -> None:
    """Where no crystal has a result the call has failed, and a model must not take it for one that worked."""
    if not results:
        raise failures[min(failures)]


async def _ended(
    moments: AsyncGenerator[RelaxationFrame | Relaxation | Failed, None], progress: Progress
) -> Relaxation:
    async with aclosing(moments):
        async for moment in moments:
            if not isinstance(moment, RelaxationFrame):
                return result_of(moment)
            await progress.reached(
                moment.step, f"step {moment.step}: {moment.energy_ev_per_atom:.4f} eV/atom"
            )
    raise InternalError("the relaxation has no end")


def _predicted(index: int, prediction: Prediction) -> PredictedCrystal:
    return PredictedCrystal(
        index=index,
        formula=prediction.formula,
        properties=values_of(prediction.values),
        out_of_domain=prediction.out_of_domain,
        warnings=[warning.message for warning in prediction.domain_warnings],
    )


def _stability(index: int, distance: HullDistance) -> CrystalStability:
    relaxed = distance.relaxed_crystal
    return CrystalStability(
        index=index,
        formula=distance.formula,
        energy_above_hull_ev_per_atom=finite(distance.energy_above_hull_ev_per_atom),
        formation_energy_ev_per_atom=finite(distance.formation_energy_ev_per_atom),
        decomposes_into=distance.decomposition_text,
        competing_entry_count=distance.competing_entry_count,
        reference=distance.reference.name,
        self_consistent=distance.self_consistent,
        relaxation_converged=distance.relaxation_converged,
        relaxed_cif="" if relaxed is None else cif_of(relaxed),
    )
