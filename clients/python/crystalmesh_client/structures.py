"""Relaxing pymatgen structures, for those who call `Structure.relax` or a relaxer of matcalc today."""

from __future__ import annotations

from contextlib import nullcontext

from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalmesh_client.mesh import Mesh
from crystalmesh_client.relax_options import OptimizerName, RelaxOptions
from crystalmesh_client.results import Relaxation


def relax(
    structure: Structure,
    *,
    relax_cell: bool = True,
    optimizer: OptimizerName = "fire",
    fmax: float = 0.05,
    steps: int = 500,
    preserve_symmetry: bool = False,
    model: str = "",
    mesh: Mesh | None = None,
    timeout: float | None = None,
) -> Structure:
    """A relaxed copy of the structure, with the evidence; the whole relaxation is one call.

    `fmax` is in eV/Å. Species, labels and properties stay; `properties` gets `converged`, `stop_reason`,
    `steps`, `energy_ev`, `energy_ev_per_atom`, `initial_energy_ev_per_atom`, `max_force_ev_per_angstrom`,
    `max_stress_gpa` and `model`, and the sites get `forces` and `magmom`. Without a `mesh` it opens the one
    that `Mesh()` finds. Raises what is wrong with the structure; one that did not converge is a result.
    """
    options = RelaxOptions(
        cell="full" if relax_cell else "fixed",
        optimizer=optimizer,
        max_force_ev_per_angstrom=fmax,
        max_steps=steps,
        preserve_symmetry=preserve_symmetry,
    )
    # A mesh of the caller's stays open.
    with nullcontext(mesh) if mesh is not None else Mesh() as opened:
        result = opened.relaxation.relax(structure, options, model=model, timeout=timeout)
    return _relaxed(structure, result)


def _relaxed(structure: Structure, result: Relaxation) -> Structure:
    relaxed = structure.copy()
    relaxed.lattice = Lattice(result.crystal.cell)
    for site, coords in zip(relaxed, result.crystal.frac_coords, strict=True):
        site.frac_coords = coords
    for name, values in result.to_pymatgen().site_properties.items():
        relaxed.add_site_property(name, values)
    relaxed.properties |= _evidence(result)
    return relaxed


def _evidence(result: Relaxation) -> dict[str, object]:
    return {
        "converged": result.converged,
        "stop_reason": result.stop_reason,
        "steps": result.steps,
        "energy_ev": result.final.energy_ev,
        "energy_ev_per_atom": result.energy_ev_per_atom,
        "initial_energy_ev_per_atom": result.initial.energy_ev_per_atom,
        "max_force_ev_per_angstrom": result.max_force_ev_per_angstrom,
        "max_stress_gpa": result.max_stress_gpa,
        "model": result.final.model,
    }
