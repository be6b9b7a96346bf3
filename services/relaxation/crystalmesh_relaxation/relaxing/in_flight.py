"""Many relaxations over one potential, without a server: whoever is done leaves, and the next one joins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Potential, Quantity
from crystalmesh_relaxation.relaxing.task import Relaxation, RelaxationTask

RELAXATION_QUANTITIES = frozenset(
    {Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS, Quantity.MAGNETIC_MOMENTS}
)


def relax_in_flight(
    potential: Potential, tasks: Iterable[RelaxationTask], *, max_cost: float
) -> Iterator[tuple[RelaxationTask, Relaxation | CrystalMeshError]]:
    """Yield each task with its result as it ends.

    `max_cost` bounds what is in flight, in the potential's unit; a task that alone costs more flies alone.
    """
    waiting = iter(tasks)
    coming = next(waiting, None)
    flying: list[RelaxationTask] = []
    cost = 0.0
    while flying or coming is not None:
        while coming is not None and (not flying or cost + potential.cost(coming.crystal) <= max_cost):
            flying.append(coming)
            cost += potential.cost(coming.crystal)
            coming = next(waiting, None)
        outcomes = potential.evaluate([task.crystal for task in flying], RELAXATION_QUANTITIES)
        still: list[RelaxationTask] = []
        for task, outcome in zip(flying, outcomes, strict=True):
            result = task.advance(outcome)
            if result is None:
                still.append(task)
            else:
                cost -= potential.cost(task.crystal)
                yield task, result
        flying = still
