"""CHGNet's weights in the fast network, as a potential."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError
from crystalmesh_relaxation.engine import Evaluation, Quantity
from crystalmesh_relaxation.engines.chgnet_fast.graph import CrystalGraph, build_graph, collate
from crystalmesh_relaxation.engines.chgnet_fast.network import FastNetwork, NetworkOutput
from crystalmesh_relaxation.engines.chgnet_info import NAME, check_elements, chgnet_info
from crystalmesh_relaxation.engines.chgnet_weights import load_chgnet, memory_errors_typed


class FastCHGNetPotential:
    """CHGNet 0.3.0 to within its own rounding, four to five times as fast, and faster still in batches."""

    def __init__(self, device: str = "cpu") -> None:
        model = load_chgnet(device)
        self._network = FastNetwork(model)
        composition = cast("Any", model.composition_model)
        # Energy of an atom of each element apart from all interaction, (94,).
        self._site_energies: FloatArray = composition.fc.weight.detach().cpu().double().numpy().ravel()
        self._device = device
        self.info = chgnet_info(device)

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> Sequence[Evaluation | CrystalMeshError]:
        outcomes: dict[int, Evaluation | CrystalMeshError] = {}
        graphs: dict[int, CrystalGraph] = {}
        for position, crystal in enumerate(crystals):
            try:
                check_elements(crystal)
                graphs[position] = build_graph(crystal)
            except CrystalMeshError as error:
                outcomes[position] = error
        outcomes.update(zip(graphs, self._evaluate(list(graphs.values()), quantities), strict=True))
        return [outcomes[position] for position in range(len(crystals))]

    def _evaluate(
        self, graphs: list[CrystalGraph], quantities: frozenset[Quantity]
    ) -> list[Evaluation | CrystalMeshError]:
        if not graphs:
            return []
        with memory_errors_typed():
            output = self._network(
                collate(graphs, self._device),
                forces=Quantity.FORCES in quantities,
                stress=Quantity.STRESS in quantities,
            )
        return self._split(graphs, output, quantities)

    def _split(
        self, graphs: list[CrystalGraph], output: NetworkOutput, quantities: frozenset[Quantity]
    ) -> list[Evaluation | CrystalMeshError]:
        def per_crystal(values: torch.Tensor | None) -> list[FloatArray] | None:
            if values is None:
                return None
            return np.split(values.cpu().double().numpy(), np.cumsum(counts)[:-1])

        counts = [len(graph.crystal) for graph in graphs]
        energies = output.energies_ev.cpu().double().numpy()
        forces = per_crystal(output.forces_ev_per_angstrom)
        stress = None if output.stress_gpa is None else output.stress_gpa.cpu().double().numpy()
        moments = (
            per_crystal(output.magnetic_moments_mu_b) if Quantity.MAGNETIC_MOMENTS in quantities else None
        )
        return [
            _checked(
                Evaluation(
                    counts[k],
                    float(energies[k]) + float(self._site_energies[graph.crystal.numbers - 1].sum()),
                    forces_ev_per_angstrom=None if forces is None else forces[k],
                    stress_gpa=None if stress is None else stress[k],
                    magnetic_moments_mu_b=None if moments is None else moments[k],
                )
            )
            for k, graph in enumerate(graphs)
        ]


def _checked(evaluation: Evaluation) -> Evaluation | CrystalMeshError:
    if evaluation.is_finite:
        return evaluation
    return ModelFailedError(f"{NAME} gave a number that is not finite for this crystal")
