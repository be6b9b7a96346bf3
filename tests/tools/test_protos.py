"""The tool that keeps stubs and protos together."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def protos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, working on a copy of protos and stubs."""
    spec = importlib.util.spec_from_file_location("protos_tool", ROOT / "tools" / "protos.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copytree(ROOT / "clients" / "python" / "crystalmesh", tmp_path / "stubs")
    monkeypatch.setattr(tool, "PROTOS", tmp_path / "protos")
    monkeypatch.setattr(tool, "STUBS", tmp_path / "stubs")
    monkeypatch.setattr(tool, "GOOGLEAPIS", tmp_path / "googleapis")
    tool.place_googleapis()
    return tool


def test_committed_stubs_are_what_the_protos_say(protos: ModuleType) -> None:
    """The check passes on what is committed."""
    assert protos.check() == 0


def test_a_changed_proto_is_noticed(protos: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A proto edited without `make proto` fails the check, which names the stubs."""
    model = protos.PROTOS / "crystalmesh" / "common" / "v1" / "model.proto"
    model.write_text(model.read_text().replace("string version = 2;", "string release = 2;"))
    assert protos.check() == 1
    assert "common/v1/model_pb2.py" in capsys.readouterr().err


def test_a_stale_stub_is_noticed(protos: ModuleType) -> None:
    """A stub whose proto is gone fails the check."""
    (protos.STUBS / "crystal" / "v1" / "ghost_pb2.py").write_text("")
    assert protos.check() == 1
