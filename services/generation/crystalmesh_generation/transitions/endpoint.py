"""Having an OpenAI-compatible endpoint answer questions about pairs of materials."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from crystalmesh_common.runtime.chat.endpoint import ChatEndpoint
from crystalmesh_common.runtime.errors import UnreachableError
from crystalmesh_generation.transitions.prompts import Prompt
from crystalmesh_generation.transitions.settings import TransitionsConfig


@dataclass(frozen=True)
class Said:
    """What a model said."""

    text: str
    cut_off: bool  # by the limit of tokens


class Endpoint:
    """A chat endpoint that is asked about pairs, with the patience of `ChatEndpoint`."""

    def __init__(
        self,
        config: TransitionsConfig,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config = config
        self._chat = ChatEndpoint(config, connections=config.concurrent, sleep=sleep)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._chat.__aexit__(kind, error, trace)

    async def answer(self, prompt: Prompt) -> Said:
        """What the model says.

        Raises QuestionRefusedError where the question is at fault, TokenInvalidError where the key is, and
        UnreachableError where asking again did not help.
        """
        question = {
            "messages": prompt.messages,
            "temperature": self._config.temperature,
            "max_tokens": self._config.most_tokens,
        }
        try:
            return await self._chat.ask(question, _said)
        except UnreachableError as error:
            raise UnreachableError(
                f"{error.message}. What it wrote so far is kept, and the same command goes on from there",
                host=error.details["host"],
            ) from error


def _said(answer: Any) -> Said | None:
    """The message of a completion; None for anything that is none."""
    choice = answer["choices"][0]
    text = choice["message"]["content"]
    # A model that declines may have no content, and says so elsewhere.
    text = "" if text is None else text
    return Said(text, cut_off=choice.get("finish_reason") == "length") if isinstance(text, str) else None
