"""The stage that makes candidates: what was planned for a round, asked of the generation service."""

from __future__ import annotations

from contextlib import aclosing

import structlog

from crystalmesh.agent.v1.campaign_candidate_pb2 import RejectionReason
from crystalmesh.agent.v1.campaign_event_pb2 import (
    CampaignEvent,
    CampaignPlanned,
    CandidateGenerated,
    PlannedBatch,
)
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest, GenerateResponse
from crystalmesh_agent.campaigns.prompting import Start, requests
from crystalmesh_agent.campaigns.rejections import rejection
from crystalmesh_agent.campaigns.starting_points import StartingPoints
from crystalmesh_agent.campaigns.together import together
from crystalmesh_agent.campaigns.trials import place_of
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_agent.store.keys import candidate_id
from crystalmesh_common.runtime.statuses import from_status

_log = structlog.get_logger(__name__)


class Generating:
    """Makes the candidates of rounds."""

    def __init__(self, workplace: Workplace, points: StartingPoints) -> None:
        self._spec = workplace.spec
        self._mesh = workplace.mesh
        self._patience = workplace.patience
        self._journal = workplace.journal
        self._points = points

    async def samples(self, planned: CampaignPlanned) -> list[CampaignEvent]:
        """What became of all samples, in the order that they were planned in.

        A sample for which nothing could be made has no event. Same plan, versions and seed: same events.
        """
        starts = [await self._start(batch) for batch in planned.batches]
        asked = requests(self._spec, planned.round, starts, self._made_before(planned.round))
        answers = await together(*map(self._answers, asked))
        made = sorted((answer for each in answers for answer in each), key=_place)
        return [event for answer in made for event in _events(planned, answer)]

    def _made_before(self, round_number: int) -> list[str]:
        """The formulas of earlier rounds, the last ones at the end."""
        earlier = (each for each in self._journal.candidates.values() if 0 < each.round < round_number)
        return list(dict.fromkeys(each.generated.validity.formula for each in earlier))

    async def _start(self, batch: PlannedBatch) -> Start:
        if not batch.HasField("starting_material"):
            return Start(batch, None)
        return Start(batch, await self._points.reference(batch.starting_material))

    async def _answers(self, request: GenerateRequest) -> list[GenerateResponse]:
        async def ask() -> list[GenerateResponse]:
            async with aclosing(self._mesh.generate(request)) as responses:
                return [response async for response in responses]

        return await self._patience.ask("generation", ask)


def _place(response: GenerateResponse) -> tuple[int, int]:
    return place_of(response.prompt_id)


def _events(planned: CampaignPlanned, response: GenerateResponse) -> list[CampaignEvent]:
    match response.WhichOneof("outcome"):
        case "candidate":
            batch = planned.batches[place_of(response.prompt_id)[0]]
            made = CandidateGenerated(
                candidate_id=candidate_id(response.candidate),
                round=planned.round,
                generated=response.candidate,
            )
            if batch.HasField("starting_material"):
                made.starting_material.CopyFrom(batch.starting_material)
            return [CampaignEvent(candidate_generated=made)]
        case "parse_failure":
            failure = response.parse_failure
            event = rejection(
                candidate_id(failure),
                CampaignStage.CAMPAIGN_STAGE_GENERATE,
                RejectionReason.REJECTION_REASON_PARSE_FAILURE,
                failure.message,
            )
            event.candidate_rejected.parse_failure.CopyFrom(failure)
            return [event]
        case _:
            error = from_status(response.error)
            _log.info("nothing_generated", prompt=response.prompt_id, reason=error.reason, message=str(error))
            return []
