"""What a model has read and written, and what it may still."""

from __future__ import annotations

from dataclasses import dataclass

from crystalmesh.agent.v1.run_pb2 import TokenUsage
from crystalmesh_agent.planning.language_model.answers import Answer
from crystalmesh_agent.planning.language_model.settings import LanguageModelPlannerSettings

_BYTES_A_TOKEN = 2.5
"""Of JSON with formulas and numbers, on the careful side, until the endpoint has counted."""
_LEAST_ANSWER_TOKENS = 200


@dataclass
class Ledger:
    """Counts the tokens of a round. What an endpoint does not count is estimated from the bytes."""

    settings: LanguageModelPlannerSettings
    tokens_left: int
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    bytes_a_token: float = _BYTES_A_TOKEN

    def room(self, question_bytes: int) -> int:
        """How many tokens an answer to a question may have; 0: the question is not to be asked."""
        room = self.tokens_left - self.expected(question_bytes)
        return min(self.settings.answer_tokens, room) if room >= _LEAST_ANSWER_TOKENS else 0

    def expected(self, question_bytes: int) -> int:
        """About how many tokens a question takes."""
        return int(question_bytes / self.bytes_a_token) + 1

    def count(self, question_bytes: int, answer: Answer) -> None:
        """Note what a call took."""
        read, written = answer.prompt_tokens, answer.completion_tokens
        if read:
            self.bytes_a_token = min(self.bytes_a_token, question_bytes / read)
        else:
            read = self.expected(question_bytes)
        if written is None:
            said = len(answer.text) + sum(len(each.arguments_json) for each in answer.requests)
            written = int(said / self.bytes_a_token) + 1
        self.calls += 1
        self.prompt_tokens += read
        self.completion_tokens += written
        self.tokens_left -= read + written

    @property
    def usage(self) -> TokenUsage | None:
        """What all calls took; None where there was none."""
        if not self.calls:
            return None
        return TokenUsage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.settings.cost_usd(self.prompt_tokens, self.completion_tokens),
        )
