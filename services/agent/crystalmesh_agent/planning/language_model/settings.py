"""Which language model plans, and what a round of it may take."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from crystalmesh_agent.planning.bandit import BANDIT
from crystalmesh_agent.planning.uniform import UNIFORM
from crystalmesh_common.runtime.chat.settings import ChatEndpointConfig, sound_key

_MILLION = 1e6


def _free_name(name: str) -> str:
    if name in {BANDIT, UNIFORM}:
        raise ValueError(f"{name} is built in; choose another name")
    return name


class LanguageModelPlannerSettings(ChatEndpointConfig):
    """A planner that specs can name. Whatever it fails at, the bandit does instead."""

    name: Annotated[str, AfterValidator(_free_name)] = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="by which specs name it"
    )
    api_key: SecretStr | None = Field(None, description="the key itself, instead of a variable that holds it")
    timeout_seconds: float = Field(30.0, gt=0, description="for one answer")
    attempts: int = Field(2, ge=1, description="at one answer, where asking again may help")
    longest_wait_seconds: float = Field(5.0, ge=0, description="between attempts")
    calls_per_round: int = Field(6, ge=1, le=100, description="answers of the model for one round, at most")
    seconds_per_round: float = Field(60.0, gt=0, description="for one round, after which the bandit decides")
    answer_tokens: int = Field(2000, ge=64, description="of one answer, at most")
    temperature: float | None = Field(None, ge=0, le=2, description="of the planner; unset: the endpoint's")
    rounds_before_stop: int = Field(3, ge=0, description="rounds that have to be made before it may stop")
    usd_per_million_prompt_tokens: float | None = Field(None, ge=0, description="price of what it reads")
    usd_per_million_completion_tokens: float | None = Field(None, ge=0, description="and of what it writes")

    def key(self) -> str:
        """The key; empty where none is needed. Raises TokenMissingError, TokenInvalidError for nonsense."""
        if self.api_key is None:
            return super().key()
        return sound_key(self.api_key.get_secret_value(), self.key_place)

    @property
    def key_place(self) -> str:
        """Where the key is kept, in words."""
        return super().key_place if self.api_key is None else "api_key"

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What so many tokens cost; None where a price is not known."""
        prices = self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens
        if prices[0] is None or prices[1] is None:
            return None
        return (prompt_tokens * prices[0] + completion_tokens * prices[1]) / _MILLION
