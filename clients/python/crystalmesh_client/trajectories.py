"""The way that a crystal took: frames, and where it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from crystalmesh.relaxation.v1 import relaxation_pb2
from crystalmesh_client.batches import Named
from crystalmesh_client.dynamics import DynamicsFrame, DynamicsReport
from crystalmesh_client.results import Evaluation, Failed, Relaxation, evaluation_from
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, eq=False)
class RelaxationFrame:
    """One moment of a relaxation."""

    id: str
    step: int
    crystal: Crystal = field(repr=False)
    evaluation: Evaluation = field(repr=False)

    @property
    def energy_ev_per_atom(self) -> float:
        return self.evaluation.energy_ev_per_atom

    @property
    def max_force_ev_per_angstrom(self) -> float | None:
        """The largest force on an atom, fixed ones included; None when forces were not computed."""
        return self.evaluation.max_force_ev_per_angstrom

    def to_ase(self) -> Atoms:
        """ASE Atoms whose calculator holds energy, forces and stress."""
        atoms = self.evaluation.to_ase()
        atoms.info["step"] = self.step
        return atoms


def relaxation_frame_from(message: relaxation_pb2.TrajectoryFrame, given: Crystal) -> RelaxationFrame:
    """The typed form of a frame on the way of `given`."""
    crystal = replace(crystal_from_proto(message.crystal), id=given.id)
    return RelaxationFrame(given.id, message.step, crystal, evaluation_from(message.evaluation, crystal))


def last_frame(relaxation: Relaxation) -> RelaxationFrame:
    """Where a relaxation ended, as a frame; the server sends one of it only where the step is due."""
    return RelaxationFrame(relaxation.id, relaxation.steps, relaxation.crystal, relaxation.final)


class _Frame(Named, Protocol):
    @property
    def step(self) -> int: ...

    def to_ase(self) -> Atoms: ...


Frame = TypeVar("Frame", bound=_Frame)
End = TypeVar("End", bound=Named)


@dataclass(frozen=True, eq=False)
class Trajectory(Generic[Frame, End]):
    """The frames of one crystal, in order, and the result at their end."""

    frames: tuple[Frame, ...] = field(repr=False)
    end: End

    @property
    def id(self) -> str:
        return self.end.id

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def to_ase(self) -> list[Atoms]:
        """All frames as ASE Atoms, with their step in `info` and what was computed in their calculator."""
        return [frame.to_ase() for frame in self.frames]

    def write(self, path: str | Path) -> None:
        """Write all frames into one file, in the format that ASE goes by the suffix: `.extxyz`, `.traj`."""
        import ase.io  # noqa: PLC0415 -- heavy

        ase.io.write(path, self.to_ase())


RelaxationTrajectory = Trajectory[RelaxationFrame, Relaxation]
DynamicsTrajectory = Trajectory[DynamicsFrame, DynamicsReport]


def relaxation_trajectories(
    stream: Iterable[RelaxationFrame | Relaxation | Failed],
) -> Iterator[RelaxationTrajectory | Failed]:
    """One outcome per crystal of a stream of frames, as each is done. The last frame is where it ended."""
    for outcome in _trajectories(stream, RelaxationFrame):
        if isinstance(outcome, Failed):
            yield outcome
            continue
        last = last_frame(outcome.end)
        due = not outcome.frames or outcome.frames[-1].step < last.step
        yield Trajectory((*outcome.frames, last), outcome.end) if due else outcome


def dynamics_trajectories(
    stream: Iterable[DynamicsFrame | DynamicsReport | Failed],
) -> Iterator[DynamicsTrajectory | Failed]:
    """One outcome per crystal of a stream of frames, as each is done."""
    return _trajectories(stream, DynamicsFrame)


def _trajectories(
    stream: Iterable[Frame | End | Failed], frame_type: type[Frame]
) -> Iterator[Trajectory[Frame, End] | Failed]:
    underway: dict[str, list[Frame]] = {}
    for item in stream:
        if isinstance(item, frame_type):
            frames = underway.setdefault(item.id, [])
            if frames and item.step <= frames[-1].step:
                frames.clear()  # a server was lost, and another one began again
            frames.append(item)
        elif isinstance(item, Failed):
            yield item
        else:
            yield Trajectory(tuple(underway.pop(item.id, ())), cast("End", item))
