from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from crystalmesh_common.runtime.errors import TokenInvalidError
from crystalmesh_retrieval.sources.source import SourceRefusedError, SourceUnreachableError
from tests.retrieval.sources.replies import Asked, Database, InOrder, Reply, Waits

GOOD = Reply.of({"answer": 42})


def test_an_answer_is_read() -> None:
    """JSON comes back as it is, a body is posted, headers are sent."""
    with Database(InOrder(GOOD)) as database:
        web = Waits().web(headers={"X-Api-Key": "secret"})
        assert web.json(f"{database.url}/a?b=c", {"query": 1}) == {"answer": 42}
        (asked,) = database.asked
        assert (asked.path, asked.body) == ("/a?b=c", {"query": 1})
        assert asked.headers["x-api-key"] == "secret"


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=500),
        Reply(status=503),
        Reply(status=408),
        Reply(GOOD.content, cut_after=5),
        Reply(GOOD.content[:7]),
        Reply(b"<html>busy</html>"),
        Reply(b"[" * 100_000),
        Reply(b"\xff"),
        Reply(b""),
    ],
)
def test_failures_that_may_pass_are_tried_again(failure: Reply) -> None:
    """Errors of the server, cut connections, and answers that are cut off or are no JSON."""
    waits = Waits()
    with Database(InOrder(failure, failure, GOOD)) as database:
        assert waits.web().json(database.url) == {"answer": 42}
    assert waits.seconds == [1.0, 2.0]


def test_waits_double_up_to_a_limit() -> None:
    """And after the last attempt the message says how to go on, and that a local file does, too."""
    waits = Waits()
    with Database(InOrder(Reply(status=502))) as database:
        web = waits.web(attempts=6, longest_wait_seconds=5.0)
        with pytest.raises(SourceUnreachableError, match=r"HTTP 502\).*same command goes on.*local file"):
            web.json(database.url)
        assert len(database.asked) == 6
    assert waits.seconds == [1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("30", 30, 30), ("0", 1, 1), ("soon", 1, 1), ("-5", 1, 1), ("in 40 s", 1, 1)],
)
def test_a_database_says_how_long_to_wait(header: str, low: float, high: float) -> None:
    """Retry-After in seconds is heeded; what cannot be understood is not."""
    waits = Waits()
    with Database(InOrder(Reply(status=429, headers={"Retry-After": header}), GOOD)) as database:
        assert waits.web().json(database.url) == {"answer": 42}
    (wait,) = waits.seconds
    assert low <= wait <= high


def test_a_database_says_until_when_to_wait() -> None:
    """Retry-After may be a date."""
    waits = Waits()
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    with Database(InOrder(Reply(status=429, headers={"Retry-After": header}), GOOD)) as database:
        assert waits.web(longest_wait_seconds=200.0).json(database.url) == {"answer": 42}
    assert 1.0 <= waits.seconds[0] <= 100.0


def test_a_wait_of_hours_is_for_the_user() -> None:
    """Nobody is kept waiting without a word."""
    waits = Waits()
    with (
        Database(InOrder(Reply(status=429, headers={"Retry-After": "7200"}))) as database,
        pytest.raises(SourceUnreachableError, match="asks to wait 7200 s"),
    ):
        waits.web().json(database.url)
    assert waits.seconds == []


def test_without_a_network_there_is_one_line() -> None:
    """A port where nobody listens: the host, the reason, and what to do instead."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceUnreachableError, match=r"127\.0\.0\.1 cannot be reached \(.*refused") as raised:
        Waits().web(attempts=2).json(f"http://127.0.0.1:{port}")
    assert "\n" not in str(raised.value)


def test_who_is_offline_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot be found is looked for three times only."""

    def no_network(*_: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    waits = Waits()
    with pytest.raises(SourceUnreachableError, match=r"no\.invalid cannot be reached \(Temporary failure"):
        waits.web().json("http://no.invalid/")
    assert waits.seconds == [1.0, 2.0]


@pytest.mark.parametrize("status", [400, 404, 422, 501])
def test_a_refused_query_is_not_repeated(status: int) -> None:
    """The database's reason is in the message, in one line."""
    detail = Reply.of({"errors": [{"detail": "unknown\nfield"}]}, status=status)
    with Database(InOrder(detail)) as database:
        with pytest.raises(SourceRefusedError, match=rf"HTTP {status}\).*unknown.nfield"):
            Waits().web().json(database.url)
        assert len(database.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_without_it(status: int) -> None:
    """The key is in no message."""
    with Database(InOrder(Reply(status=status))) as database:
        web = Waits().web(headers={"X-Api-Key": "very-secret"})
        with pytest.raises(TokenInvalidError, match="does not accept the key") as raised:
            web.json(database.url)
    assert "very-secret" not in str(raised.value) + repr(web)


def test_headers_go_to_no_other_host() -> None:
    """A redirect is followed, without the key."""
    with Database(InOrder(GOOD)) as other:

        def redirect(_asked: Asked) -> Reply:
            return Reply(status=302, headers={"Location": f"{other.url}/there"})

        with Database(redirect) as database:
            web = Waits().web(headers={"X-Api-Key": "secret"})
            assert web.json(database.url) == {"answer": 42}
        assert other.asked[0].path == "/there"
        assert "x-api-key" not in other.asked[0].headers


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "no address", "", "http://[::1", "http://"]
)
def test_only_the_web_is_asked(url: str) -> None:
    """An address that is none, or of another kind, is refused before anything is opened."""
    with pytest.raises(SourceRefusedError, match="no http or https address"):
        Waits().web().json(url)


def test_an_answer_beyond_all_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server cannot fill the memory."""
    from crystalmesh_retrieval.sources import web

    monkeypatch.setattr(web, "_MAX_ANSWER_BYTES", 10)
    with Database(InOrder(GOOD)) as database, pytest.raises(SourceRefusedError, match="smaller pages"):
        Waits().web().json(database.url)
