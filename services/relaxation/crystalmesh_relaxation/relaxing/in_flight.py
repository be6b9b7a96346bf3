"""Many relaxations over one potential, without a server: whoever is done leaves, and the next one joins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Potential, Quantity, estimated_edges
from crystalmesh_relaxation.relaxing.task import Relaxation, RelaxationTask

RELAXATION_QUANTITIES = frozenset(
    {Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS, Quantity.MAGNETIC_MOMENTS}
)


def relax_in_flight(
    potential: Potential, tasks: Iterable[RelaxationTask], *, max_edges: float
) -> Iterator[tuple[RelaxationTask, Relaxation | CrystalMeshError]]:
    """Yield each task with its result as it ends.

    `max_edges` bounds what is in flight; a task that alone has more flies alone.
    """

    def edges(task: RelaxationTask) -> float:
        return estimated_edges(task.crystal, potential.info.cutoff_angstrom)

    waiting = iter(tasks)
    coming = next(waiting, None)
    flying: list[RelaxationTask] = []
    while flying or coming is not None:
        room = max_edges - sum(map(edges, flying))
        while coming is not None and (not flying or edges(coming) <= room):
            flying.append(coming)
            room -= edges(coming)
            coming = next(waiting, None)
        outcomes = potential.evaluate([task.crystal for task in flying], RELAXATION_QUANTITIES)
        still: list[RelaxationTask] = []
        for task, outcome in zip(flying, outcomes, strict=True):
            result = task.advance(outcome)
            if result is None:
                still.append(task)
            else:
                yield task, result
        flying = still
