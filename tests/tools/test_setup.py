"""What `make setup` says when it cannot work."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("bash", "dirname", "awk", "sh", "env", "df")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that holds the script, and a `bin` with the few programs that it needs and no Python."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.sh", tmp_path / "tools" / "setup.sh")
    (tmp_path / "bin").mkdir()
    for program in NEEDED:
        found = shutil.which(program)
        assert found, f"this test needs {program}"
        (tmp_path / "bin" / program).symlink_to(found)
    return tmp_path


def run_setup(checkout: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "bin"), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [checkout / "tools" / "setup.sh"], env=environment, capture_output=True, text=True, check=False
    )


def put(checkout: Path, name: str, script: str) -> None:
    program = checkout / "bin" / name
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_without_python_setup_says_which_is_needed(checkout: Path) -> None:
    """A machine without Python gets one line that says what to install."""
    done = run_setup(checkout)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "setup: Python 3.11 or 3.12 is needed, found: none (set PYTHON=/path/to/python to choose one)"
    )


def test_with_an_old_python_setup_names_it(checkout: Path) -> None:
    """A Python that is too old is named, and not used."""
    put(checkout, "python3", 'case "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac')
    done = run_setup(checkout)
    assert done.returncode == 1
    assert "found: Python 3.9.2" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_on_a_full_disk_setup_says_how_much_is_missing(checkout: Path) -> None:
    """Too little disk is found before anything is installed."""
    put(checkout, "python3", "exit 0")
    put(checkout, "df", 'echo "Filesystem 1024-blocks Used Available"; echo "disk 100 99 2097152"')
    done = run_setup(checkout)
    assert done.returncode == 1
    assert done.stderr.strip() == "setup: 9 GiB of disk are needed, 2 GiB are free here"
    assert not (checkout / ".venv").exists()
