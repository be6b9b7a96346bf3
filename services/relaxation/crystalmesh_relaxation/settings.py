"""The settings of the relaxation service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from crystalmesh_common.runtime.devices import check_device_name
from crystalmesh_common.runtime.settings import ServiceSettings
from crystalmesh_relaxation.engine import Network
from crystalmesh_relaxation.engines.specs import CHGNET, check_specs


class RelaxationSettings(ServiceSettings):
    """What this service adds to the common settings."""

    models: Annotated[tuple[str, ...], AfterValidator(check_specs)] = Field(
        (CHGNET,),
        description="potentials to serve, the default first: chgnet-0.3.0, chgnet-r2scan, mace:NAME, "
        "mace:PATH#sha256=…, NAME=ase:package.module:factory",
    )
    allow_downloads: bool = Field(
        default=False, description="fetch published models that are asked for and not there"
    )
    model_folder: Path | None = Field(
        None, description="where published models are kept; unset: models in the folder of the mesh"
    )
    device: Annotated[str, AfterValidator(check_device_name)] = Field(
        "cpu", description="where potentials run: cpu, cuda, cuda:1, mps"
    )
    workers: int = Field(
        0, ge=0, le=64, description="processes that evaluate; 0: one a core, or one for a GPU"
    )
    threads: int = Field(0, ge=0, description="CPU threads of each worker; 0: the cores, shared out evenly")
    batch_edges: float = Field(5000, gt=0, description="most edges of the networks' graphs in one batch")
    evaluate_with: Network = Field(
        Network.REFERENCE,
        description="code behind Evaluate: `reference` gives CHGNet's numbers to the last digit, `fast` "
        "gives them to within CHGNet's own rounding in a quarter of the time; relaxations use `fast`",
    )
    references: tuple[Path, ...] = Field(
        (), description="descriptions (JSON) of references to serve beside the shipped one"
    )
    default_reference: str = Field("", description="reference of requests that name none; unset: the shipped")
