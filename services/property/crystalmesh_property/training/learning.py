"""One step of learning: gradients in threads, clipped, and a moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalmesh_property.graphs.batches import GraphBatch
from crystalmesh_property.model.network import CrystalGraphNetwork
from crystalmesh_property.model.objective import loss_sum, normalized
from crystalmesh_property.model.predicting import alone_on_a_core
from crystalmesh_property.training.experiment import MachineConfig, OptimizationConfig


@dataclass(frozen=True, eq=False)
class Lesson:
    """Some crystals with what is known of them."""

    batch: GraphBatch
    targets: Tensor  # (c, p), labels on their scales, NaN where there is none


class Learner:
    """A network with its optimizer and the moving average of its weights."""

    def __init__(
        self, network: CrystalGraphNetwork, optimization: OptimizationConfig, machine: MachineConfig
    ) -> None:
        self.network = network
        self._low_precision = low_precision(machine, network.centres.device)
        self._config = optimization
        self._parameters: list[Tensor] = list(network.parameters())
        self.optimizer = torch.optim.AdamW(
            self._parameters,
            lr=optimization.learning_rate,
            weight_decay=optimization.weight_decay,
            fused=True,
        )
        self.average = [values.detach().clone() for values in self._parameters]
        weights = [optimization.weights.get(name, 1.0) for name in network.properties]
        self._weights = torch.tensor(weights, device=network.centres.device)
        # With a core each, two threads on half a batch beat one operation on two cores by far: most
        # operations here are too short to be divided.
        workers = workers_of(machine, network.centres.device)
        self._threads = ThreadPoolExecutor(workers, "learning", initializer=alone_on_a_core)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def step(self, parts: Sequence[Lesson], rate: float) -> float:
        """Learn from one batch, given in parts; the mean loss of its crystals before that.

        The same parts give the same weights.
        """
        crystals = sum(len(part.batch) for part in parts)
        found = list(self._threads.map(lambda part: self._gradients(part, crystals), parts))
        for n, parameter in enumerate(self._parameters):
            parameter.grad = found[0][1][n] if len(found) == 1 else sum_of([each[1][n] for each in found])
        torch.nn.utils.clip_grad_norm_(self._parameters, self._config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return sum(each[0] for each in found)

    def follow(self, step: int) -> None:
        """Move the average towards the weights after step number `step`, faster in the beginning."""
        decay = min(self._config.average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self._parameters, 1 - decay)

    def averaged(self, network: CrystalGraphNetwork) -> CrystalGraphNetwork:
        """Another network of the same kind with the averaged weights."""
        with torch.no_grad():
            for parameter, average in zip(network.parameters(), self.average, strict=True):
                parameter.copy_(average)
            network.centres.copy_(self.network.centres)
            network.spreads.copy_(self.network.spreads)
        return network.eval()

    def _gradients(self, part: Lesson, crystals: int) -> tuple[float, tuple[Tensor, ...]]:
        device = self.network.centres.device
        wanted = normalized(self.network, part.targets.to(device))
        with self._precision():
            output = self.network(part.batch.to(device))
        loss = loss_sum(output, wanted, self._weights) / crystals
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True, materialize_grads=True)
        return float(loss.detach()), gradients

    def _precision(self) -> AbstractContextManager[object]:
        kind = self.network.centres.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self._low_precision)


def workers_of(machine: MachineConfig, device: torch.device) -> int:
    """Threads to compute with: one drives a GPU."""
    return machine.workers if device.type == "cpu" else 1


def low_precision(machine: MachineConfig, device: torch.device) -> bool:
    """Whether to compute in bfloat16 where that is safe."""
    if machine.precision == "auto":
        return device.type == "cuda"
    return machine.precision == "bfloat16"


def sum_of(tensors: Sequence[Tensor]) -> Tensor:
    """Their sum, always in the same order."""
    total = tensors[0].clone()
    for tensor in tensors[1:]:
        total += tensor
    return total


def divided(
    members: NDArray[np.int64], edge_counts: NDArray[np.int64], parts: int
) -> list[NDArray[np.int64]]:
    """A batch in so many parts with about the same number of edges each, none empty."""
    parts = min(parts, len(members))
    if parts == 1:
        return [members]
    ranks = np.argsort(-edge_counts[members], kind="stable")
    loads = np.zeros(parts)
    dealt: list[list[int]] = [[] for _ in range(parts)]
    for place in ranks:  # the largest first, always to who has least
        least = int(np.argmin(loads))
        dealt[least].append(int(place))
        loads[least] += edge_counts[members[place]] + 1
    return [members[np.sort(places)] for places in dealt]


def learning_rate(config: OptimizationConfig, spent: float) -> float:
    """The rate when a share `spent` of the budget is used up: a line up, then a cosine to zero."""
    if spent < config.warm_up:
        return config.learning_rate * max(spent / config.warm_up, 0.01)
    left = min(1.0, (spent - config.warm_up) / (1 - config.warm_up))
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * left))
