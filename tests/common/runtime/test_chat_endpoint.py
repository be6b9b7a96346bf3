from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import ValidationError

from crystalmesh_common.runtime.chat.endpoint import ChatEndpoint, QuestionRefusedError
from crystalmesh_common.runtime.chat.settings import ChatEndpointConfig
from crystalmesh_common.runtime.errors import TokenInvalidError, TokenMissingError, UnreachableError
from tests.common.runtime.chat_server import KEY, Reply, chatting, in_order, saying

QUESTION = {"messages": [{"role": "user", "content": "From NaCl to KBr?"}], "temperature": 0.2}
GOOD = saying("Potassium replaces sodium.")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)


def text_of(answer: Any) -> str | None:
    text = answer["choices"][0]["message"]["content"]
    return text if isinstance(text, str) else None


async def answered(url: str, waits: list[float] | None = None, **fields: Any) -> str:
    """The answer to a question; waits are written down instead of waited."""

    async def wait(seconds: float) -> None:
        (waits if waits is not None else []).append(seconds)

    config = ChatEndpointConfig(base_url=url, model="some-model", key_variable="SOME_KEY", **fields)
    async with ChatEndpoint(config, sleep=wait) as endpoint:
        return await endpoint.ask(QUESTION, text_of)


async def test_a_question_is_asked_as_chat_endpoints_take_it() -> None:
    """Path, key, model and question are there, and the answer comes back."""
    with chatting(in_order(GOOD)) as server:
        assert await answered(server.url) == "Potassium replaces sodium."
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {"model": "some-model", **QUESTION}


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=429),
        Reply(status=500),
        Reply(status=503),
        Reply(GOOD.content, cut_after=9),
        Reply(b"<html>busy</html>"),
        Reply(b"[" * 100_000),
        Reply(b'{"choices": []}'),
        Reply(b'{"choices": [{"message": {"content": 7}}]}'),
        Reply(b"\xff", headers={"Content-Encoding": "gzip"}),
        Reply(),
    ],
)
async def test_failures_that_may_pass_are_tried_again(failure: Reply) -> None:
    """Errors of the server, cut connections and garbage, after waits that double."""
    waits: list[float] = []
    with chatting(in_order(failure, failure, GOOD)) as server:
        assert await answered(server.url, waits) == "Potassium replaces sodium."
    assert waits == [1.0, 2.0]


async def test_an_endpoint_says_how_long_to_wait() -> None:
    """Retry-After is heeded in seconds and as a date; what cannot be understood is not."""
    waits: list[float] = []
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    headers = [{"Retry-After": each} for each in ("30", until, "soon")]
    with chatting(in_order(*(Reply(status=429, headers=each) for each in headers), GOOD)) as server:
        await answered(server.url, waits)
    assert waits[0] == 30
    assert 30 < waits[1] <= 50
    assert waits[2] == 4


async def test_a_wait_of_hours_is_for_the_user() -> None:
    """Nobody is kept waiting without a word."""
    with (
        chatting(in_order(Reply(status=429, headers={"Retry-After": "7200"}))) as server,
        pytest.raises(UnreachableError, match="asks to wait 7200 s"),
    ):
        await answered(server.url)


async def test_an_answer_that_does_not_come_is_given_up() -> None:
    """After the timeout, as often as was configured."""
    never = threading.Event()
    with chatting(in_order(Reply(after=never))) as server:
        with pytest.raises(UnreachableError, match=r"no answer within 0\.1 s"):
            await answered(server.url, timeout_seconds=0.1, attempts=2)
        never.set()
    assert len(server.asked) == 2


async def test_an_endpoint_that_is_not_there_is_told() -> None:
    """By its host and the reason."""
    with chatting(in_order(GOOD)) as server:
        url = server.url
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1 cannot be asked"):
        await answered(url, attempts=2)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_told_without_it(status: int) -> None:
    """The variable is named, and neither its value nor what the server says of it is shown."""
    with (
        chatting(in_order(Reply(f"Incorrect key {KEY}".encode(), status=status))) as server,
        pytest.raises(TokenInvalidError, match="does not accept the key in SOME_KEY") as raised,
    ):
        await answered(server.url)
    assert KEY not in str(raised.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [302, 400, 404, 422])
async def test_a_refused_question_is_not_repeated(status: int) -> None:
    """The reason is in the message, without the key; redirects are not followed."""
    reply = Reply(f"no\nmodel for {KEY}".encode(), status=status, headers={"Location": "http://127.0.0.2/"})
    with (
        chatting(in_order(reply)) as server,
        pytest.raises(QuestionRefusedError, match=rf"HTTP {status}\): no model for \*\*\*$"),
    ):
        await answered(server.url)
    assert len(server.asked) == 1


async def test_the_key_is_printed_nowhere(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in logs, however much is logged, nor in what objects say of themselves."""
    caplog.set_level(0)
    with chatting(in_order(Reply(status=500), GOOD)) as server:
        config = ChatEndpointConfig(base_url=server.url, model="some-model", key_variable="SOME_KEY")

        async def wait(_: float) -> None:
            return

        async with ChatEndpoint(config, sleep=wait) as endpoint:
            await endpoint.ask(QUESTION, text_of)
            said = repr(endpoint) + repr(config) + config.model_dump_json()
    out, err = capfd.readouterr()
    assert KEY not in said + out + err + caplog.text


def test_a_key_is_asked_for_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing one and one that is none are told without their value; none may be needed at all."""

    def config(variable: str) -> ChatEndpointConfig:
        return ChatEndpointConfig(base_url="http://127.0.0.1/v1", model="m", key_variable=variable)

    assert config("").key() == ""
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(TokenMissingError, match="NO_KEY"):
        config("NO_KEY").key()
    monkeypatch.setenv("BAD_KEY", f"{KEY}\n{KEY}")
    with pytest.raises(TokenInvalidError, match="BAD_KEY") as raised:
        config("BAD_KEY").key()
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/v1",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "https://me:pass@host/v1",
        "http://h/?k=1",
    ],
)
def test_only_plain_addresses_are_configured(url: str) -> None:
    """None of another kind, and none with a password in it."""
    with pytest.raises(ValidationError):
        ChatEndpointConfig(base_url=url, model="m")
