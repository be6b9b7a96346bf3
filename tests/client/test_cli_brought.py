"""Commands that installed services bring along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_service_that_cannot_be_loaded_breaks_only_its_own_command(tmp_path: Path) -> None:
    """Its command says why it is not there, in one line; all others work."""
    (tmp_path / "crystalmesh_property").mkdir()
    (tmp_path / "crystalmesh_property" / "__init__.py").write_text("")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "crystalmesh_client.cli", *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = run("train", "property")
    assert refused.returncode == 2
    assert refused.stderr.startswith("crystalmesh: crystalmesh_property.training.cli:train cannot be loaded")
    assert len(refused.stderr.splitlines()) == 1
    assert run("train", "retrieval", "--help").returncode == 0
