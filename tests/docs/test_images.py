"""What can be known of the Dockerfiles without building them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_images_are_pinned_and_not_root(dockerfile: Path) -> None:
    """Every base image has a full version, the process has a user of its own, and what is copied exists."""
    text = dockerfile.read_text()
    for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert re.search(r":\d+\.\d+\.\d+", image), image
    assert re.search(r"^USER [1-9]\d+$", text, re.MULTILINE)
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source


def test_health_check_of_the_relaxation_image_follows_the_service(relaxation: ServiceProcess) -> None:
    """The image's health check succeeds against a serving process and fails where none listens."""
    text = (ROOT / "services" / "relaxation" / "Dockerfile").read_text()
    command = json.loads(text.partition("HEALTHCHECK")[2].partition("CMD ")[2].splitlines()[0])
    assert command[0] == "python"

    def status(port: str) -> int:
        variables = {**os.environ, "CRYSTALMESH_PORT": port}
        return subprocess.run(
            [sys.executable, *command[1:]], env=variables, timeout=60, check=False
        ).returncode

    assert status(relaxation.address.rpartition(":")[2]) == 0
    assert status("1") == 1
