"""The settings of the property service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from crystalmesh_common.runtime.devices import check_device_name
from crystalmesh_common.runtime.settings import ServiceSettings


class PropertySettings(ServiceSettings):
    """What this service adds to the common settings."""

    models: tuple[Path, ...] = Field(
        (),
        description="folders to serve models from beside the shipped ones, which they hide by name: of one "
        "model, of a training, or of several models",
    )
    shipped_models: bool = Field(default=True, description="serve the models that ship, too")
    device: Annotated[str, AfterValidator(check_device_name)] = Field(
        "cpu", description="where networks run: cpu, cuda, cuda:1, mps; graphs are built on the CPU"
    )
    workers: int = Field(
        0, ge=0, le=64, description="processes that build graphs and predict; 0: one a core, at most 4"
    )
    threads: int = Field(0, ge=0, description="CPU threads of each worker; 0: the cores, shared out evenly")
    batch_atoms: float = Field(400, gt=0, description="most atoms that a worker is given at a time")
    stream_crystals: int = Field(
        1024, ge=1, description="crystals of a PredictStream taken in whose outcomes are not sent yet"
    )
