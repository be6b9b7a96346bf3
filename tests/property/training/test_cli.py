from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crystalmesh_property.evaluation.splits import matbench_folds
from crystalmesh_property.training.cli import train as command
from tests.property.crystals import salts_table

CONFIG = """
name = "salts"
properties = ["band_gap_ev"]
neighbours = 6

[data]
protocol = "matbench"
train = "salts.parquet"

[budget]
steps = 6
checks = 2

[network]
width = 16
layers = 1

[machine]
device = "cpu"
workers = 1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    salts_table(tmp_path / "salts.parquet", range(40), fold=matbench_folds(40).tolist())
    path = tmp_path / "salts.toml"
    path.write_text(CONFIG)
    return path


def train(config: Path, *arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(
        app, [str(config), "--data", str(config.parent), "--run", str(config.parent / "run"), *arguments]
    )
    return result.exit_code, result.output


def test_one_command_packs_trains_and_scores(config: Path) -> None:
    """From a table to a model with one command; a line per check and a table of scores are printed."""
    code, said = train(config, "--set", "budget.checks=3")
    assert code == 0, said
    assert "100%  step 6" in said
    assert "band_gap_ev" in said
    assert (config.parent / "run" / "model" / "model.json").exists()
    assert (config.parent / "graphs" / "salts-6-8.graphs").exists()


def test_a_missing_table_is_one_line(config: Path) -> None:
    """What is wrong with the data is said without a traceback, and the exit code is that of bad input."""
    (config.parent / "salts.parquet").unlink()
    code, said = train(config)
    assert code == 3
    assert "salts.parquet cannot be read" in said
    assert "Traceback" not in said


def test_a_leak_rule_ends_the_command(config: Path) -> None:
    """A second table beside MatBench's is refused before anything is trained."""
    code, said = train(config, "--set", 'data.extra=["salts.parquet"]')
    assert code == 3
    assert "no other" in said
