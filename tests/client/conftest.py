"""Clients of the shared server, and its command line, for the tests of both."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crystalmesh_client import AsyncMesh, Credentials, Mesh
from crystalmesh_client.cli import main
from tests.conftest import TOKEN, ServiceProcess


@pytest.fixture
def mesh(relaxation: ServiceProcess) -> Iterator[Mesh]:
    with Mesh(relaxation.address, credentials=Credentials(token=TOKEN)) as opened:
        yield opened


@pytest.fixture
async def async_mesh(relaxation: ServiceProcess) -> AsyncIterator[AsyncMesh]:
    async with AsyncMesh(relaxation.address, credentials=Credentials(token=TOKEN)) as opened:
        yield opened


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Ended]


@pytest.fixture
def crystalmesh(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], relaxation: ServiceProcess
) -> Command:
    """Runs `crystalmesh …` in this process, for the shared server and with its token."""
    return command_line(monkeypatch, capsys, relaxation)


def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], service: ServiceProcess
) -> Command:
    """Runs `crystalmesh …` in this process, for a service and with its token."""
    monkeypatch.setenv("CRYSTALMESH_ADDRESS", service.address)
    monkeypatch.setenv("CRYSTALMESH_TOKEN", TOKEN)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["crystalmesh", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return run
