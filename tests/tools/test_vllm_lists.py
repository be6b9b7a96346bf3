"""What `make setup VLLM=1` installs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = ("constraints-vllm.txt", "constraints-vllm-cuda.txt")


def pinned(name: str) -> list[str]:
    """The packages of a list by their canonical names; each line has one exact version."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+(; [\w ]+ == \"\w+\")?", line) for line in lines)
    return [re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines]


@pytest.mark.parametrize("name", LISTS)
def test_vllm_changes_no_version_of_ours(name: str) -> None:
    """No package is pinned twice, so that adding vLLM leaves all others as they are."""
    others = [package for other in ("constraints.txt", *LISTS) if other != name for package in pinned(other)]
    ours = pinned(name)
    assert len(set(ours)) == len(ours)
    assert not set(ours) & set(others)
