"""What all stages of a campaign share."""

from __future__ import annotations

from dataclasses import dataclass

from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh_agent.campaigns.clocks import WorkClocks
from crystalmesh_agent.campaigns.journal import Journal
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_agent.campaigns.patience import Patience
from crystalmesh_agent.campaigns.wishes import Wishes


@dataclass(frozen=True)
class Workplace:
    """One campaign's, for as long as one worker works on it."""

    spec: CampaignSpec
    wishes: Wishes
    journal: Journal
    mesh: CampaignMesh
    patience: Patience
    clocks: WorkClocks
