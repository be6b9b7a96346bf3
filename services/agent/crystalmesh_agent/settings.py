"""The settings of the agent service."""

from __future__ import annotations

from pydantic import Field, SecretStr

from crystalmesh_agent.planning.choosing import LanguageModelPlanners
from crystalmesh_common.runtime.settings import ServiceSettings


class AgentSettings(ServiceSettings):
    """What this service adds to the common settings."""

    database: SecretStr | None = Field(
        None,
        description="where campaigns are kept: sqlite:///PATH or postgresql://…; unset: a file in the folder "
        "of the mesh",
    )
    mesh_address: str = Field(
        "", description="address of the other services behind one port; unset: the mesh of this machine"
    )
    planners: LanguageModelPlanners = Field(
        (),
        description="planners that ask a language model, as tables with name, endpoint and model; specs name "
        "them",
    )
    campaigns: int = Field(
        8, ge=0, le=256, description="campaigns to work on at once; 0: none, others share the database"
    )
    waiting_campaigns: int = Field(1000, ge=1, description="campaigns that may wait before more are refused")
    lease_seconds: float = Field(
        30.0, ge=1, le=3600, description="time after which others take over from a process that was killed"
    )
