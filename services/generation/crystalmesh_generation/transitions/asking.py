"""Asking for everything that is missing, several questions at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from crystalmesh_common.runtime.chat.endpoint import QuestionRefusedError
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_generation.language.words import SPECIAL
from crystalmesh_generation.transitions.answers import Answer, AnswerLog
from crystalmesh_generation.transitions.endpoint import Endpoint, Said
from crystalmesh_generation.transitions.prompts import Prompt

_MOST_CHARACTERS = 4000
_REFUSALS_IN_A_ROW = 10
"""Refusals without a single answer in between that make the endpoint look wrongly configured."""

Told = Callable[["Tally"], None]


@dataclass
class Tally:
    """How far the asking is."""

    known: int = 0  # answers that were there already
    written: int = 0  # new ones that can be used
    faulty: int = 0  # new ones that cannot
    refused: int = 0  # questions that were not answered; the next run asks again


async def ask(
    prompts: Iterable[Prompt], endpoint: Endpoint, log: AnswerLog, *, concurrent: int, tell: Told
) -> Tally:
    """Ask each question that has no answer in the log yet, and log each answer as it comes.

    Raises what `Endpoint.answer` raises, after the answers that had come by then are logged.
    """
    tally = Tally()
    asker = _Asker(_missing(prompts, log, tally, tell), endpoint, log, tally, tell)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrent):
                group.create_task(asker.work())
    except* CrystalMeshError as failures:
        # All workers meet the same endpoint: what the first says is what there is to say.
        raise _first(failures) from None
    return tally


class _Asker:
    """What all workers share."""

    def __init__(
        self, missing: Iterator[Prompt], endpoint: Endpoint, log: AnswerLog, tally: Tally, tell: Told
    ) -> None:
        self._missing = missing
        self._endpoint = endpoint
        self._log = log
        self._tally = tally
        self._tell = tell
        self._refusals = 0

    async def work(self) -> None:
        """Ask until nothing is missing."""
        for prompt in self._missing:
            try:
                said = await self._endpoint.answer(prompt)
            except QuestionRefusedError:
                self._refusals += 1
                if self._refusals >= _REFUSALS_IN_A_ROW:
                    raise
                self._tally.refused += 1
            else:
                self._refusals = 0
                self._keep(prompt, said)
            self._tell(self._tally)

    def _keep(self, prompt: Prompt, said: Said) -> None:
        fault = fault_of(said)
        if fault:
            self._tally.faulty += 1
        else:
            self._tally.written += 1
        text = " ".join(said.text[:_MOST_CHARACTERS].split())
        self._log.add(Answer(prompt.key, prompt.model, text, fault))


def fault_of(said: Said) -> str:
    """Why what a model said is no transition; empty where it is one."""
    if not said.text.strip():
        return "empty"
    if said.cut_off or len(said.text) > _MOST_CHARACTERS:
        return "too long"
    if any(word in said.text for word in SPECIAL):
        return "parts the conversation"
    return ""


def _missing(prompts: Iterable[Prompt], log: AnswerLog, tally: Tally, tell: Told) -> Iterator[Prompt]:
    asked = set()
    for prompt in prompts:
        if prompt.key in asked:
            continue
        asked.add(prompt.key)
        if prompt.key in log.answers:
            tally.known += 1
            tell(tally)
        else:
            yield prompt


def _first(failures: BaseExceptionGroup[CrystalMeshError]) -> CrystalMeshError:
    found: BaseException = failures
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if not isinstance(found, CrystalMeshError):
        raise TypeError("a group of errors holds another one") from found
    return found
