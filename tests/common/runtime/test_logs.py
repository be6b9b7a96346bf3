from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# Logging is global, so each test logs in a process of its own.
PROGRAM = """
import logging, sys, threading
import structlog
from crystalmesh_common.runtime.calls import Call, current_call
from crystalmesh_common.runtime.logs import configure_logs

configure_logs("relaxation", level=sys.argv[2], form=sys.argv[1])
log = structlog.get_logger("crystalmesh_common.somewhere")

def fail():
    password_of_the_moment = "SECRET"
    raise ValueError("what happened")

log.debug("a_detail", number=1)
log.info("without_a_call", crystals=3)
current_call.set(Call("/a.B/C", {"x-request-id": "run-7"}, "peer", None))
log.info("within_a_call")
log.info("secrets", token="SECRET", Authorization="Bearer SECRET", api_key="SECRET", tokens_file="SECRET")
logging.getLogger("a.library").warning("said %s", "something")
try:
    fail()
except ValueError as error:
    log.error("failed", exc_info=error)
thread = threading.Thread(target=lambda: log.info("from_the_device"))
thread.start()
thread.join()
"""


def run(form: str, level: str = "info") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, form, level]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)


@pytest.fixture(scope="module")
def events() -> dict[str, dict[str, Any]]:
    """The lines of a run that logs JSON, by event."""
    ran = run("json")
    assert not ran.stdout
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    return {line["event"]: line for line in lines}


def test_each_event_is_one_line_of_json_with_level_time_and_service(
    events: dict[str, dict[str, Any]],
) -> None:
    """Whoever logs, from whichever thread, the line says when, how bad and which service."""
    assert set(events) == {
        "without_a_call", "within_a_call", "secrets", "said something", "failed", "from_the_device",
    }  # fmt: skip
    for event in events.values():
        assert {"level", "timestamp"} <= event.keys()
        assert event["service"] == "relaxation"
    assert events["without_a_call"]["crystals"] == 3
    assert events["said something"]["level"] == "warning"


def test_within_a_call_the_request_id_and_method_are_there(events: dict[str, dict[str, Any]]) -> None:
    """Lines of a call can be found by its request id; others have none."""
    assert "request_id" not in events["without_a_call"]
    for name in ("within_a_call", "said something", "failed"):
        assert (events[name]["request_id"], events[name]["method"]) == ("run-7", "/a.B/C")


def test_keys_that_sound_secret_are_hidden(events: dict[str, dict[str, Any]]) -> None:
    """Whatever is logged under such a key is starred out."""
    for key in ("token", "Authorization", "api_key", "tokens_file"):
        assert events["secrets"][key] == "***"


def test_an_exception_is_logged_with_its_trace(events: dict[str, dict[str, Any]]) -> None:
    """The operator gets what the caller does not."""
    assert "Traceback" in events["failed"]["exception"]
    assert "what happened" in events["failed"]["exception"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_is_logged_in_either_form(form: str) -> None:
    """Neither values under secret keys nor the local variables of a trace are printed."""
    text = run(form).stderr
    assert "what happened" in text
    assert "SECRET" not in text.replace('password_of_the_moment = "SECRET"', "")  # a source line, no value


def test_text_to_a_file_has_no_colours() -> None:
    """Without a terminal there are no control codes, in text either."""
    assert "\x1b" not in run("text").stderr


@pytest.mark.parametrize(("level", "seen"), [("debug", True), ("info", False), ("error", False)])
def test_the_least_level_is_respected(level: str, seen: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """Only what is at least as severe is printed."""
    assert ("a_detail" in run("json", level).stderr) is seen
