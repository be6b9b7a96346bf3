"""`crystalmesh mcp`: on standard input and output, over HTTP, and where it cannot run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from crystalmesh_client.cli.app import app
from tests.client.generation.hosting import Workshop, hosted
from tests.client.mcp.calls import Told, bad, good
from tests.conftest import eventually

COMMAND = [sys.executable, "-m", "crystalmesh_client.cli", "mcp"]
TOKEN = "a token of the tests"


def over_stdio(**variables: str) -> StdioServerParameters:
    """The server as a client starts it."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("CRYSTALMESH_ADDR")}
    return StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=known | variables)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_starts_it_and_talks_over_pipes(mode: str) -> None:
    """Calls work, a cancelled one ends on the mesh, and the server goes on, in both protocols."""
    workshop, told = Workshop(waits=True, after=1), Told()
    async with hosted(workshop) as address:
        server = over_stdio(CRYSTALMESH_ADDRESS=address)
        async with Client(server, mode=mode) as client:
            assert len((await client.list_tools()).tools) == 11
            async with anyio.create_task_group() as calls:
                calls.start_soon(
                    lambda: client.call_tool("generate_crystals", {"samples": 2}, progress_callback=told)
                )
                await eventually(lambda: bool(told.values), "a sample")
                calls.cancel_scope.cancel()
            await eventually(lambda: workshop.ended == 1, "the end of the call on the mesh")
            workshop.waits = False
            made = good(await client.call_tool("generate_crystals", {"samples": 2}))
            assert [each["formula"] for each in made["crystals"]] == ["NaCl", "NaCl"]
            fault = bad(await client.call_tool("get_material", {"material_id": "salt"}))
            assert fault["reason"] == "UNKNOWN_METHOD"  # this server generates and does nothing else


def test_standard_output_is_the_protocol_and_nothing_else() -> None:
    """It ends well when its client leaves."""
    ended = subprocess.run(
        COMMAND, input="no message\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0
    assert all(line.startswith('{"jsonrpc"') for line in ended.stdout.splitlines())


@contextmanager
def over_http(*arguments: str, **variables: str) -> Iterator[str]:
    """The URL of a server over HTTP."""
    command = [*COMMAND, "--http", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | variables) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().removeprefix("MCP at ")
        finally:
            process.terminate()


async def test_over_http_the_token_is_asked_for() -> None:
    """With it tools are listed and called; without it, and with another, nothing is told."""
    with over_http(CRYSTALMESH_MCP_TOKEN=TOKEN) as url:
        async with httpx2.AsyncClient() as plain:
            for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": TOKEN}):
                answer = await plain.post(url, json={}, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as known,
            Client(streamable_http_client(url, http_client=known)) as client,
        ):
            assert len((await client.list_tools()).tools) == 11
            fault = bad(await client.call_tool("campaign_status", {}))
            assert fault["reason"] == "UNREACHABLE"


async def test_pages_of_browsers_and_huge_requests_are_refused() -> None:
    """A page that has a name of its own point here (DNS rebinding) gets nothing without a token, too."""
    with over_http() as url:
        async with httpx2.AsyncClient() as page:
            kind = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
            rebound = await page.post(url, content="{}", headers={**kind, "Host": "evil.example:80"})
            foreign = await page.post(url, content="{}", headers={**kind, "Origin": "https://evil.example"})
            huge = await page.post(url, content=b" " * (4 * 1024 * 1024 + 1), headers=kind)
    assert (rebound.status_code, foreign.status_code, huge.status_code) == (421, 403, 413)


@pytest.mark.parametrize(
    ("where", "token", "says"),
    [
        ("0.0.0.0:0", "", "set a token"),
        ("[::]:0", "", "set a token"),
        ("127.0.0.1:0", "short", "at least 16 characters"),
        ("127.0.0.1", "", "HOST:PORT"),
        (":8090", "", "HOST:PORT"),
        ("127.0.0.1:99999", "", "HOST:PORT"),
        ("192.0.2.1:0", TOKEN, "cannot listen on 192.0.2.1:0"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, where: str, token: str, says: str
) -> None:
    """Beyond this machine only with a token, and a token is no short word."""
    monkeypatch.setenv("CRYSTALMESH_MCP_TOKEN", token)
    ended = CliRunner().invoke(app, ["mcp", "--http", where])
    assert ended.exit_code == 2
    assert says in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line; all other commands work without it."""
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "mcp" else found(name, *rest)

    monkeypatch.setattr("crystalmesh_client.cli.mcp.find_spec", without)
    ended = CliRunner().invoke(app, ["mcp"])
    assert ended.exit_code == 2
    assert ended.stderr == (
        "crystalmesh: `crystalmesh mcp` needs the extra mcp: pip install 'crystalmesh[materials,mcp]'\n"
    )


def test_other_commands_load_nothing_of_it() -> None:
    """The command line stays quick."""
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, crystalmesh_client.cli.app; print('mcp' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.strip() == "False"
