"""The settings of the relaxation service."""

from __future__ import annotations

from pydantic import Field

from crystalmesh_common.runtime.settings import ServiceSettings
from crystalmesh_relaxation.engine import Network


class RelaxationSettings(ServiceSettings):
    """What this service adds to the common settings."""

    device: str = Field("cpu", description="where the potential runs: cpu, cuda, cuda:1, mps")
    workers: int = Field(0, ge=0, le=64, description="threads that evaluate; 0: one a core, or one for a GPU")
    threads: int = Field(0, ge=0, description="CPU threads of each worker; 0: the cores, shared out evenly")
    batch_atoms: float = Field(96, gt=0, description="most atoms in one batch on the device")
    evaluate_with: Network = Field(
        Network.REFERENCE,
        description="code behind Evaluate: `reference` gives CHGNet's numbers to the last digit, `fast` "
        "gives them to within CHGNet's own rounding in a quarter of the time; relaxations use `fast`",
    )
