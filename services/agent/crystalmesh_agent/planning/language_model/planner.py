"""The planner that asks a language model, and the bandit where that does not decide."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from crystalmesh.agent.v1.run_pb2 import PlannerCall
from crystalmesh_agent.planning.bandit import Bandit
from crystalmesh_agent.planning.choices import summary
from crystalmesh_agent.planning.language_model.answers import plain_text
from crystalmesh_agent.planning.language_model.conversation import Conversation, NoPlanError
from crystalmesh_agent.planning.language_model.settings import LanguageModelPlannerSettings
from crystalmesh_agent.planning.language_model.tools import Decision
from crystalmesh_agent.planning.planner import Plan, Situation
from crystalmesh_common.runtime.chat.endpoint import ChatEndpoint
from crystalmesh_common.runtime.errors import CrystalMeshError

_log = structlog.get_logger(__name__)

_MOST_REASON = 1000
_LONGEST_REST = 16
"""Rounds that an endpoint is left alone at most after it failed; the first time it is one."""


class LanguageModelPlanner:
    """Asks a model by an OpenAI-compatible endpoint. A round always gets a plan, within the limits.

    An endpoint that fails is left alone for some rounds, for more of them each time that it fails again.
    """

    def __init__(
        self,
        settings: LanguageModelPlannerSettings,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._bandit = Bandit()
        self._failures = 0
        self._rest = 0
        self._failed_by = ""

    @property
    def name(self) -> str:
        return self._settings.name

    async def plan(self, situation: Situation) -> Plan:
        """What the round makes. Raises InvalidFieldError where no generator can make anything."""
        call = PlannerCall(planner=self.name, model=self._settings.model)
        if not situation.candidates_wanted:
            call.decision = summary([])
            return Plan(call, [])
        if self._rest:
            self._rest -= 1
            reason = f"the endpoint is left alone for {self._rest} more rounds: {self._failed_by}"
            return await self._instead(situation, call, reason)
        try:
            decision = await self._decision(situation, call)
        except NoPlanError as error:
            return await self._instead(situation, call, str(error))
        except CrystalMeshError as error:
            self._leave_alone(error.message)
            return await self._instead(situation, call, error.message)
        except TimeoutError:
            reason = f"no plan within {self._settings.seconds_per_round:g} s"
            self._leave_alone(reason)
            return await self._instead(situation, call, reason)
        self._failures = 0
        call.decision = summary(decision.batches) if decision.batches else "Stop."
        call.rationale = decision.rationale
        return Plan(call, decision.batches)

    async def _decision(self, situation: Situation, call: PlannerCall) -> Decision:
        """What the model decides; what it took is noted in the call, whatever comes of it."""
        async with ChatEndpoint(self._settings, sleep=self._sleep) as endpoint:
            conversation = Conversation(self._settings, situation, endpoint)
            try:
                async with asyncio.timeout(self._settings.seconds_per_round):
                    return await conversation.decision()
            finally:
                call.tool_calls.extend(conversation.tool_calls)
                if (usage := conversation.ledger.usage) is not None:
                    call.usage.CopyFrom(usage)

    async def _instead(self, situation: Situation, call: PlannerCall, reason: str) -> Plan:
        """The bandit's plan, with the reason why it is that."""
        _log.warning("planner_fell_back", planner=self.name, round=situation.round, reason=reason)
        plan = await self._bandit.plan(situation)
        call.decision = plan.call.decision
        call.rationale = plan.call.rationale
        call.fallback_reason = plain_text(reason, _MOST_REASON)
        return Plan(call, plan.batches)

    def _leave_alone(self, reason: str) -> None:
        self._failed_by = reason
        self._rest = min(2**self._failures, _LONGEST_REST)
        self._failures += 1
