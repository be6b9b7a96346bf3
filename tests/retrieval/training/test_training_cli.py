from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import crystalmesh_retrieval.training.recipe as recipes
from crystalmesh_client.cli import exits
from crystalmesh_client.cli.app import app
from crystalmesh_common.runtime.errors import InvalidFieldError


@pytest.fixture(autouse=True)
def _small_towers(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"width": 32, "layers": 1, "heads": 2, "feed_forward": 64, "vocabulary": 600, "alike": 2}
    monkeypatch.setitem(recipes.PRESETS, "compact", recipes.PRESETS["compact"] | small)


def run(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["train", "retrieval", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_from_a_folder_to_an_encoder(split_folder: Path, tmp_path: Path) -> None:
    """Trained, measured on the test split, written; the same command again says the same, at once."""
    arguments = (split_folder, "--out", tmp_path / "run", "--texts", split_folder / "texts")
    options = ("--batch", "8", "--epochs", "1", "--processes", "1", "--threads", "1", "--device", "cpu")
    found: dict[str, Any] = json.loads(run(*arguments, *options, "--json").stdout)
    assert found["steps"] == 4
    assert {(row["question"], row["pool"]) for row in found["test"]} == {
        (question, 8) for question in ("formula", "noformula", "noformula_nospacegroup")
    }
    facts = json.loads((tmp_path / "run" / "encoder" / "training.json").read_text())
    assert facts["recipe"]["seed"] == 0
    again = run(*arguments, *options).stdout
    assert "average rank" in again
    assert f"compact-t5 {found['version']} is in {tmp_path / 'run' / 'encoder'}" in again.replace("\n", "")
    with pytest.raises(InvalidFieldError, match="another run"):
        run(*arguments, *options, "--seed", "1")


def test_wrong_options_are_usage_errors(split_folder: Path, tmp_path: Path) -> None:
    """Presets, architectures, devices and rates that are none end with exit code 2 and say what there is."""
    for options, told in (
        (("--preset", "huge"), "only paper, compact"),
        (("--architecture", "rnn"), "--architecture"),
        (("--learning-rate", "-1"), "--learning-rate"),
        (("--device", "tpu9"), "is no device"),
        (("--precision", "int3"), "--precision"),
    ):
        result = run(split_folder, "--out", tmp_path, *options, code=exits.USAGE)
        assert told in result.output


def test_absent_data_is_one_typed_error(tmp_path: Path) -> None:
    """A folder that is not there is an error of input, and leaves nothing behind."""
    with pytest.raises(InvalidFieldError, match=r"train\.parquet"):
        run(tmp_path / "absent", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
