from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from crystalmesh_common.runtime.chat.endpoint import QuestionRefusedError
from crystalmesh_common.runtime.errors import UnreachableError, WriterBusyError
from crystalmesh_generation.transitions.answers import Answer, open_answers, read_answers
from crystalmesh_generation.transitions.asking import Tally, ask
from crystalmesh_generation.transitions.endpoint import Endpoint
from crystalmesh_generation.transitions.settings import TransitionsConfig
from tests.common.runtime.chat_server import Asked, Reply, chatting, saying
from tests.conftest import until
from tests.generation.transitions.filling import CONCURRENT, questions


def number_of(asked: Asked) -> int:
    """Of the question, as `questions` counts them."""
    return int(asked.question.rsplit(" ", 1)[1])


def well(asked: Asked) -> Reply:
    return saying(f"Way {number_of(asked)}.")


async def filled(url: str, path: Path, number: int, concurrent: int = 3) -> Tally:
    """What came of asking."""

    async def wait(_: float) -> None:
        return

    config = TransitionsConfig(base_url=url, model="some-model", key_variable="", attempts=2)
    with open_answers(path) as log:
        async with Endpoint(config, sleep=wait) as endpoint:
            return await ask(questions(number), endpoint, log, concurrent=concurrent, tell=lambda _: None)


async def test_every_question_is_asked_once(tmp_path: Path) -> None:
    """Several at a time; a second run asks for what is new only."""
    path = tmp_path / "folder" / "transitions.jsonl"
    with chatting(well) as server:
        assert await filled(server.url, path, 20) == Tally(written=20)
        assert await filled(server.url, path, 25) == Tally(known=20, written=5)
        assert sorted(number_of(each) for each in server.asked) == list(range(25))
    answers = read_answers(path)
    assert [answers[each.key].text for each in questions(25)] == [f"Way {n}." for n in range(25)]
    assert {each.model for each in answers.values()} == {"some-model"}


async def test_answers_that_are_none_are_kept_as_such(tmp_path: Path) -> None:
    """Empty ones, declined ones, ones that are cut off, too long, or could part a conversation."""
    bad = [
        saying(""), saying(None), saying("It is", finish="length"), saying("long " * 2000),
        saying("So <crystal> 1.0"),
    ]  # fmt: skip
    path = tmp_path / "transitions.jsonl"
    with chatting(lambda asked: bad[number_of(asked)]) as server:
        assert await filled(server.url, path, 5) == Tally(faulty=5)
        assert await filled(server.url, path, 5) == Tally(known=5)
    faults = [read_answers(path)[each.key].fault for each in questions(5)]
    assert faults == ["empty", "empty", "too long", "too long", "parts the conversation"]


async def test_one_refused_question_stops_nothing(tmp_path: Path) -> None:
    """It is asked again by the next run."""
    path = tmp_path / "transitions.jsonl"
    with chatting(lambda asked: Reply(status=400) if number_of(asked) == 3 else well(asked)) as server:
        assert await filled(server.url, path, 12) == Tally(written=11, refused=1)
        assert await filled(server.url, path, 12) == Tally(known=11, refused=1)


async def test_an_endpoint_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    """After ten questions, not after all."""
    with chatting(lambda _: Reply(b"no such model", status=404)) as server:
        with pytest.raises(QuestionRefusedError, match="no such model"):
            await filled(server.url, tmp_path / "transitions.jsonl", 500)
        assert len(server.asked) < 20


async def test_an_endpoint_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    """What it said before is kept, and not asked again."""
    path = tmp_path / "transitions.jsonl"
    with (
        chatting(lambda asked: well(asked) if number_of(asked) < 10 else Reply(status=503)) as server,
        pytest.raises(UnreachableError, match="HTTP 503"),
    ):
        await filled(server.url, path, 30, concurrent=1)
    assert len(read_answers(path)) == 10
    with chatting(well) as server:
        assert await filled(server.url, path, 30) == Tally(known=10, written=20)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    """Nothing that was answered is asked again, but for what was under way."""
    path = tmp_path / "transitions.jsonl"
    held = threading.Event()
    with chatting(lambda asked: well(asked) if number_of(asked) < 30 else Reply(after=held)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.generation.transitions.filling", server.url, str(path), "60"],
            stderr=subprocess.DEVNULL,
        )
        until(lambda: len(server.asked) == 30 + CONCURRENT, "all workers wait")
        process.send_signal(how)
        process.wait(10)
        held.set()
        assert process.returncode != 0
    assert len(read_answers(path)) == 30
    with chatting(well) as server:
        assert asyncio.run(filled(server.url, path, 60)) == Tally(known=30, written=30)


def test_a_torn_line_is_taken_away_and_a_damaged_one_not_counted(tmp_path: Path) -> None:
    """Lines before and behind them are as they were."""
    path = tmp_path / "transitions.jsonl"
    with open_answers(path) as log:
        log.add(Answer("a", "m", "first ☃\n"))
    path.write_bytes(path.read_bytes() + b'{"key": 1}\n\xff\xfe\n[]\n{"key": "b", "mod')
    with open_answers(path) as log:
        assert set(log.answers) == {"a"}
        log.add(Answer("c", "m", "third"))
    assert read_answers(path) == {"a": Answer("a", "m", "first ☃\n"), "c": Answer("c", "m", "third")}
    assert json.loads(path.read_bytes().splitlines()[-1])["key"] == "c"


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    """The second is told."""
    path = tmp_path / "transitions.jsonl"
    with open_answers(path), pytest.raises(WriterBusyError, match="another process"), open_answers(path):
        pass
