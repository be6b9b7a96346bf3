"""Work on a crystal that takes several evaluations, one after the other, so that many can share a batch.

A task says which crystal it wants evaluated and takes what came of it, until it has its result. A procedure
is the same thing written straight down: a generator that yields crystals and is sent evaluations, with
`yield from` to make one procedure of several. An evaluation that failed is raised where it was asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Generic, Protocol, TypeVar

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Evaluation
from crystalmesh_relaxation.relaxing.task import Relaxation, RelaxationTask

Result = TypeVar("Result")
ResultOut_co = TypeVar("ResultOut_co", covariant=True)
Procedure = Generator[Crystal, Evaluation, Result]


class Task(Protocol[ResultOut_co]):
    """A crystal that is being worked on: evaluate `crystal`, give the outcome to `advance`, and again."""

    @property
    def crystal(self) -> Crystal:
        """What to evaluate next."""
        ...

    def advance(self, outcome: Evaluation | CrystalMeshError) -> ResultOut_co | CrystalMeshError | None:
        """Take what came of `crystal`. The result once this is over; else None, and `crystal` is the next."""
        ...

    def take_frames(self) -> Sequence[ResultOut_co]:
        """What there is to tell before the result, since the last time."""
        ...


class ProcedureTask(Generic[Result]):
    """A procedure as a task."""

    def __init__(self, procedure: Procedure[Result]) -> None:
        """Run the procedure to its first crystal; raises what it raises before that."""
        self._procedure = procedure
        self.crystal = next(procedure)

    def advance(self, outcome: Evaluation | CrystalMeshError) -> Result | CrystalMeshError | None:
        try:
            if isinstance(outcome, CrystalMeshError):
                self.crystal = self._procedure.throw(outcome)
            else:
                self.crystal = self._procedure.send(outcome)
        except StopIteration as end:
            result: Result = end.value
            return result
        except CrystalMeshError as error:
            return error
        return None

    def take_frames(self) -> Sequence[Result]:
        return ()


def relaxing(task: RelaxationTask) -> Procedure[Relaxation]:
    """A relaxation as a step of a procedure: what it ends with, converged or not."""
    while True:
        try:
            outcome: Evaluation | CrystalMeshError = yield task.crystal
        except CrystalMeshError as error:
            outcome = error
        result = task.advance(outcome)
        if isinstance(result, CrystalMeshError):
            raise result
        if result is not None:
            return result
