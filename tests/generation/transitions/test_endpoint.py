from __future__ import annotations

import threading
from typing import Any

import pytest

from crystalmesh_common.runtime.errors import UnreachableError
from crystalmesh_generation.transitions.endpoint import Endpoint, Said
from crystalmesh_generation.transitions.prompts import prompt_of
from crystalmesh_generation.transitions.settings import TransitionsConfig
from tests.common.runtime.chat_server import KEY, Reply, chatting, in_order, saying

PROMPT = prompt_of("NaCl", "KBr", "some-model")
GOOD = saying("Potassium replaces sodium.")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)


async def answered(url: str, waits: list[float] | None = None, **fields: Any) -> Said:
    """The answer to a question; waits are written down instead of waited."""

    async def wait(seconds: float) -> None:
        (waits if waits is not None else []).append(seconds)

    config = TransitionsConfig(base_url=url, model="some-model", key_variable="SOME_KEY", **fields)
    async with Endpoint(config, sleep=wait) as endpoint:
        return await endpoint.answer(PROMPT)


async def test_a_question_is_asked_as_chat_endpoints_take_it() -> None:
    """Path, key, model, messages and limits are there, and the answer comes back."""
    with chatting(in_order(GOOD)) as server:
        said = await answered(server.url, temperature=0.2, most_tokens=99)
    assert said == Said("Potassium replaces sodium.", cut_off=False)
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert (asked.body["model"], asked.body["temperature"], asked.body["max_tokens"]) == (
        "some-model",
        0.2,
        99,
    )
    assert [each["role"] for each in asked.body["messages"]] == ["system", "user"]
    assert asked.question == PROMPT.text


async def test_an_answer_that_does_not_come_is_given_up() -> None:
    """After the timeout, and in the end with a message that says how to go on."""
    never = threading.Event()
    with chatting(in_order(Reply(after=never))) as server:
        with pytest.raises(UnreachableError, match=r"no answer within 0\.1 s.*same command"):
            await answered(server.url, timeout_seconds=0.1, attempts=2)
        never.set()
    assert len(server.asked) == 2


async def test_what_a_model_leaves_open_is_told() -> None:
    """A message without content is empty text, and one at the limit of tokens is cut off."""
    with chatting(in_order(saying(None), saying("It is", finish="length"))) as server:
        assert await answered(server.url) == Said("", cut_off=False)
        assert await answered(server.url) == Said("It is", cut_off=True)
