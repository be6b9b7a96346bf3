"""What commands write: a folder with a file for each crystal, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from crystalmesh_client.cli.reports import usage_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crystalmesh_client.dynamics import DynamicsFrame
    from crystalmesh_client.hulls import HullDistance
    from crystalmesh_client.trajectories import RelaxationTrajectory
    from crystalmesh_common.crystal.structure import Crystal

_PICTURE_SUFFIXES = (".png", ".svg", ".pdf")


def _picture(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in _PICTURE_SUFFIXES:
        raise typer.BadParameter(f"{path.name} must end in {', '.join(_PICTURE_SUFFIXES)}")
    return path


PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", callback=_picture, help="Draw a picture: FILE.png, FILE.svg or FILE.pdf."),
]


class HasCrystal(Protocol):
    """A result that is about a crystal."""

    @property
    def crystal(self) -> Crystal:
        """The crystal, as it is after what was done to it."""
        ...


class OutputFolder:
    """Takes files about crystals, as each is done."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            usage_error(f"{path} cannot be made: {error.strerror}")
        self._path = path

    def write_crystal_of(self, result: HasCrystal) -> None:
        self.write_crystal(result.crystal)

    def write_crystal(self, crystal: Crystal) -> None:
        """The crystal as a CIF file named after its id."""
        from crystalmesh_common.crystal.text import crystal_to_cif  # noqa: PLC0415

        path = self.file(crystal.id, ".cif")
        with one_line_for_files(path):
            path.write_text(crystal_to_cif(crystal))

    def write_relaxed(self, result: HullDistance) -> None:
        """The crystal that was scored, as a CIF file, where it was relaxed for that."""
        if result.relaxed_crystal is not None:
            self.write_crystal(result.relaxed_crystal)

    def write_trajectory(self, trajectory: RelaxationTrajectory, every: int) -> None:
        """Every so many steps, and the end, as an extended XYZ file named after the crystal."""
        import ase.io  # noqa: PLC0415

        last = trajectory.frames[-1]
        frames = [frame.to_ase() for frame in trajectory if frame.step % every == 0 or frame is last]
        ase.io.write(self.file(trajectory.id, ".extxyz"), frames, format="extxyz")

    def append_frame(self, frame: DynamicsFrame) -> None:
        """The frame at the end of an extended XYZ file named after its crystal; step 0 begins a new one."""
        import ase.io  # noqa: PLC0415

        file = self.file(frame.id, ".extxyz")
        ase.io.write(file, frame.to_ase(), format="extxyz", append=frame.step > 0)

    def file(self, crystal_id: str, suffix: str) -> Path:
        """Where a file about the crystal of this id is."""
        # An id may be a path ("frames.xyz#3"); its file is not to land elsewhere.
        name = crystal_id.replace("/", "_").lstrip(".") or "crystal"
        return self._path / f"{name}{suffix}"


@contextmanager
def one_line_for_files(path: Path) -> Iterator[None]:
    """A file that cannot be written is a line on standard error and exit code 2."""
    try:
        yield
    except OSError as error:
        usage_error(f"{path} cannot be written: {error.strerror}")


def draw(path: Path, picture: Callable[[], Figure]) -> None:
    """Write a picture; what cannot be drawn or written is a line on standard error and exit code 2."""
    from crystalmesh_client.plots import save  # noqa: PLC0415 -- matplotlib is slow to import

    with one_line_for_files(path):
        try:
            save(picture(), path)
        except ValueError as error:
            usage_error(str(error))
