"""The services that make a mesh, and which of them are installed here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from crystalmesh_common.mesh.errors import MeshUsageError
from crystalmesh_common.runtime.settings import SettingsError, read_tables


@dataclass(frozen=True)
class MeshService:
    """One deployable unit of the mesh."""

    name: str  # the same everywhere: folder, image, metric label, routing key
    module: str  # what `python -m` runs
    hosted: tuple[str, ...]  # full names of the proto services
    summary: str

    @property
    def installed(self) -> bool:
        """Whether this Python can run it; found out without importing it."""
        return find_spec(self.module) is not None


SERVICES: tuple[MeshService, ...] = (
    MeshService(
        "relaxation",
        "crystalmesh_relaxation",
        ("crystalmesh.relaxation.v1.RelaxationService", "crystalmesh.stability.v1.StabilityService"),
        "energies, relaxations, dynamics and stability with machine-learned potentials",
    ),
    MeshService(
        "retrieval",
        "crystalmesh_retrieval",
        ("crystalmesh.retrieval.v1.RetrievalService",),
        "known materials nearest to a text, a target or a crystal",
    ),
    MeshService(
        "generation",
        "crystalmesh_generation",
        ("crystalmesh.generation.v1.GenerationService",),
        "transitions and new crystals written by a language model",
    ),
    MeshService(
        "property",
        "crystalmesh_property",
        ("crystalmesh.property.v1.PropertyService",),
        "properties of crystals predicted by crystal graph networks",
    ),
    MeshService(
        "agent",
        "crystalmesh_agent",
        ("crystalmesh.agent.v1.CampaignService", "crystalmesh.agent.v1.StudyService"),
        "campaigns that search for materials, studies that improve models",
    ),
)


def find_service(name: str) -> MeshService:
    """The service of this name; MeshUsageError when there is none."""
    for service in SERVICES:
        if service.name == name:
            return service
    known = ", ".join(sorted(service.name for service in SERVICES))
    raise MeshUsageError(f"no service is called {name}; there are {known}")


def check_tables(config: Path) -> None:
    """MeshUsageError when the settings file has a table that no service reads, which is a misspelt one."""
    known = {*(service.name for service in SERVICES), "common", "ray"}
    try:
        unknown = sorted(set(read_tables(str(config))) - known)
    except SettingsError as error:
        raise MeshUsageError(str(error)) from None
    if unknown:
        raise MeshUsageError(f"{config}: nothing reads [{unknown[0]}]; there are {', '.join(sorted(known))}")


def select_services(names: Iterable[str] = ()) -> tuple[MeshService, ...]:
    """The services of these names in the order of SERVICES; of no names, all that are installed.

    Raises MeshUsageError for a name that is unknown or not installed, and when nothing is installed.
    """
    wanted = {find_service(name) for name in names}
    selected = tuple(s for s in SERVICES if (s in wanted if wanted else s.installed))
    for service in selected:
        if not service.installed:
            raise MeshUsageError(
                f"the service {service.name} is not installed: pip install crystalmesh-{service.name}"
            )
    if not selected:
        raise MeshUsageError("no service is installed: pip install crystalmesh-relaxation, for one")
    return selected
