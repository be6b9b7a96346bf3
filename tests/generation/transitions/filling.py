"""Ask an endpoint for many transitions, as a process that can be killed: URL, FILE, NUMBER."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from crystalmesh_generation.transitions.answers import open_answers
from crystalmesh_generation.transitions.asking import ask
from crystalmesh_generation.transitions.endpoint import Endpoint
from crystalmesh_generation.transitions.prompts import Prompt, prompt_of
from crystalmesh_generation.transitions.settings import TransitionsConfig

CONCURRENT = 4


def questions(number: int) -> list[Prompt]:
    return [prompt_of(f"source {each}", f"target {each}", "some-model") for each in range(number)]


async def _main(url: str, path: Path, number: int) -> None:
    config = TransitionsConfig(base_url=url, model="some-model", key_variable="", concurrent=CONCURRENT)
    with open_answers(path) as log:
        async with Endpoint(config) as endpoint:
            await ask(questions(number), endpoint, log, concurrent=CONCURRENT, tell=lambda _: None)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
