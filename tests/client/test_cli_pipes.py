"""Commands whose output is piped into a reader that has soon seen enough, such as `head`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TOKEN, ServiceProcess

COMMAND = [sys.executable, "-m", "crystalmesh_client.cli", "hull", "--reference", "salts"]


@pytest.mark.timeout(400)  # the first test that needs the shared server waits for it, and this starts others
@pytest.mark.parametrize("arguments", [["NaCl", "NaCl3"], ["--system", "Na-Cl"]], ids=str)
def test_a_closed_pipe_does_not_take_the_picture(
    relaxation: ServiceProcess, tmp_path: Path, arguments: list[str]
) -> None:
    """Nobody reads the table, and the picture is drawn all the same; that is no failure and no line."""
    picture = tmp_path / "hull.svg"
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:  # noqa: PTH123 -- a descriptor has no path
        done = subprocess.run(
            [*COMMAND, *arguments, "--plot", str(picture)],
            stdout=closed,
            stderr=subprocess.PIPE,
            env={**os.environ, "CRYSTALMESH_ADDRESS": relaxation.address, "CRYSTALMESH_TOKEN": TOKEN},
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert picture.read_text().startswith("<?xml")
