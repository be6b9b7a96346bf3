"""MACE as a potential: many crystals in one call of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pymatgen.optimization.neighbors import find_points_in_spheres
from torch import Tensor

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_common.runtime.devices import memory_errors_typed
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError
from crystalmesh_relaxation.engine import Evaluation, PotentialInfo, Quantity
from crystalmesh_relaxation.engines.outcomes import (
    check_elements,
    evaluate_together,
    finite,
)
from crystalmesh_relaxation.engines.units import EV_PER_CUBIC_ANGSTROM_IN_GPA

_SELF_DISTANCE_ANGSTROM = 1e-8


@dataclass(frozen=True, eq=False)
class CrystalGraph:
    """A crystal and the pairs of its atoms within the cutoff, both directions of each."""

    crystal: Crystal
    first: IntArray  # (e,)
    second: IntArray  # (e,)
    image: FloatArray  # (e, 3), the periodic image of the second atom


class MACEPotential:
    """A MACE network in single precision. An isolated atom has the energy that it was trained to have."""

    def __init__(
        self,
        network: Any,
        device: str,
        *,
        name: str,
        version: str,
        license: str,  # noqa: A002 -- as PotentialInfo calls it
        description: str,
    ) -> None:
        """Raises ModelFailedError for a network with several heads of which none is the default."""
        self._network = network
        self._device = device
        self._head = _only_head(network, name)
        numbers = [int(number) for number in network.atomic_numbers]
        self._index_of = np.full(max(numbers) + 1, -1, dtype=np.int64)
        self._index_of[numbers] = np.arange(len(numbers))
        self._n_elements = len(numbers)
        self.info = PotentialInfo(
            name=name,
            version=version,
            license=license,
            description=description,
            atomic_numbers=tuple(sorted(numbers)),
            quantities=frozenset({Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS}),
            device=device,
            cutoff_angstrom=float(network.r_max),
        )

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> Sequence[Evaluation | CrystalMeshError]:
        def run(graphs: list[CrystalGraph]) -> list[Evaluation | CrystalMeshError]:
            forces, stress = Quantity.FORCES in quantities, Quantity.STRESS in quantities
            with memory_errors_typed(), torch.set_grad_enabled(forces or stress):
                output = self._network(self._batch(graphs), compute_force=forces, compute_stress=stress)
            return [
                finite(evaluation, self.info.name)
                for evaluation in _split(graphs, output, forces=forces, stress=stress)
            ]

        return evaluate_together(crystals, self._graph, run)

    def _graph(self, crystal: Crystal) -> CrystalGraph:
        check_elements(crystal, self.info)
        cart = np.ascontiguousarray(crystal.cart_coords)
        first, second, image, distance = find_points_in_spheres(
            cart,
            cart,
            r=self.info.cutoff_angstrom,
            pbc=np.ones(3, dtype=np.int64),
            lattice=np.ascontiguousarray(crystal.cell),
            tol=1e-8,
        )
        others = distance > _SELF_DISTANCE_ANGSTROM
        return CrystalGraph(crystal, first[others], second[others], image[others])

    def _batch(self, graphs: list[CrystalGraph]) -> dict[str, Tensor]:
        """What MACE's networks take: the crystals as one graph of n atoms and e pairs."""
        counts = np.array([len(graph.crystal) for graph in graphs])
        ends = np.cumsum(counts)
        starts = ends - counts
        each = list(zip(graphs, starts, strict=True))

        def joined(arrays: list[np.ndarray], dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(np.concatenate(arrays)).to(dtype).to(self._device)

        elements = joined([self._index_of[graph.crystal.numbers] for graph in graphs], torch.int64)
        pairs = [np.stack([graph.first + start, graph.second + start], axis=1) for graph, start in each]
        return {
            "positions": joined([graph.crystal.cart_coords for graph in graphs], torch.float32),
            "node_attrs": torch.nn.functional.one_hot(elements, self._n_elements).to(torch.float32),
            "cell": joined([graph.crystal.cell for graph in graphs], torch.float32),  # (3c, 3)
            "edge_index": joined(pairs, torch.int64).t(),  # (2, e)
            "unit_shifts": joined([graph.image for graph in graphs], torch.float32),
            "shifts": joined([graph.image @ graph.crystal.cell for graph in graphs], torch.float32),
            "batch": joined([np.repeat(np.arange(len(graphs)), counts)], torch.int64),  # (n,)
            "ptr": joined([np.concatenate([[0], ends])], torch.int64),
            "head": torch.full((len(graphs),), self._head, dtype=torch.int64, device=self._device),
        }


def _only_head(network: Any, name: str) -> int:
    """The index of the head to ask; files from before there were heads have one."""
    heads = list(getattr(network, "heads", None) or ["Default"])
    named_default = [index for index, head in enumerate(heads) if head.lower() == "default"]
    if len(heads) > 1 and not named_default:
        raise ModelFailedError(
            f"{name} has the heads {', '.join(heads)} and none called default; make a file of the one "
            "that is wanted with mace_select_head"
        )
    return named_default[0] if named_default else 0


def _split(
    graphs: list[CrystalGraph], output: dict[str, Tensor], *, forces: bool, stress: bool
) -> list[Evaluation]:
    ends = np.cumsum([len(graph.crystal) for graph in graphs])[:-1]

    def values(name: str) -> FloatArray:
        return output[name].detach().cpu().double().numpy()

    # Summed here in double precision: a large cell's energy has too many digits for single.
    energies = [float(of_atoms.sum()) for of_atoms in np.split(values("node_energy"), ends)]
    force_arrays = np.split(values("forces"), ends) if forces else None
    stresses = values("stress") * EV_PER_CUBIC_ANGSTROM_IN_GPA if stress else None
    return [
        Evaluation(
            len(graph.crystal),
            energies[k],
            forces_ev_per_angstrom=None if force_arrays is None else force_arrays[k],
            stress_gpa=None if stresses is None else stresses[k],
        )
        for k, graph in enumerate(graphs)
    ]
