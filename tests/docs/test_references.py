"""The generated references follow what they describe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from crystalmesh.common.v1.error_reason_pb2 import ErrorReason

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "api_reference.py"


def check(tool: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, timeout=120, check=False
    )


def test_committed_references_are_fresh() -> None:
    """docs/api.md, docs/settings.md and docs/errors.md are what the tool would write."""
    done = check(TOOL)
    assert done.returncode == 0, done.stderr


def test_a_stale_reference_is_named(tmp_path: Path) -> None:
    """In a copy of the tree whose references differ, `--check` exits 1 and names each."""
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    for name in ("api_reference.py", "protos.py"):
        (tmp_path / "tools").mkdir(exist_ok=True)
        (tmp_path / "tools" / name).write_text((ROOT / "tools" / name).read_text())
    (tmp_path / "docs").mkdir()
    for name in ("api.md", "settings.md"):
        (tmp_path / "docs" / name).write_text((ROOT / "docs" / name).read_text())
    settings = tmp_path / "docs" / "settings.md"
    settings.write_text(settings.read_text() + "by hand\n")
    done = check(tmp_path / "tools" / "api_reference.py")
    assert done.returncode == 1
    assert "stale: docs/settings.md" in done.stderr
    assert "stale: docs/errors.md" in done.stderr
    assert "docs/api.md" not in done.stderr


def test_nothing_of_the_api_is_left_out() -> None:
    """Every RPC of the protos is in api.md, every reason in errors.md."""
    api = (ROOT / "docs" / "api.md").read_text()
    errors = (ROOT / "docs" / "errors.md").read_text()
    for proto in (ROOT / "protos").glob("**/*_service.proto"):
        for line in proto.read_text().splitlines():
            if line.startswith("  rpc "):
                assert f"\n#### {line.split()[1].partition('(')[0]} · " in api, line
    for reason in ErrorReason.keys()[1:]:
        assert f"| `{reason.removeprefix('ERROR_REASON_')}` |" in errors
