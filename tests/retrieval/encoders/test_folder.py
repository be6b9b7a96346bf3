from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError
from crystalmesh_retrieval.encoders.encoder import Tower
from crystalmesh_retrieval.encoders.folder import ENCODER_FILE, open_encoder_folder, write_encoder_json
from tests.retrieval.encoders.tiny_encoders import change_json, save_pair


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pair(tmp_path_factory.mktemp("saved") / "tiny")


@pytest.fixture
def encoder(saved: Path, tmp_path: Path) -> Path:
    return copytree(saved, tmp_path / "tiny")


def rewritten(folder: Path) -> str:
    return write_encoder_json(
        folder, name="tiny", dimensions=32, max_tokens=48, describer="crystalmesh"
    ).version


def test_what_was_written_is_read(encoder: Path) -> None:
    """The folder says what `write_encoder_json` was told, and where its towers are."""
    folder = open_encoder_folder(encoder)
    assert folder.file is not None
    assert folder.file.info.name == "tiny"
    assert folder.file.info.describer == "crystalmesh"
    assert folder.towers == {tower: encoder / tower for tower in Tower}


def test_the_version_follows_from_the_files(encoder: Path) -> None:
    """Writing again gives the same version, a change of a weight another one, a note beside it none."""
    before = rewritten(encoder)
    assert rewritten(encoder) == before
    (encoder / Tower.STRUCTURE / "README.md").write_text("a note")
    assert rewritten(encoder) == before
    change_json(encoder / Tower.STRUCTURE / "config.json", note="another")
    assert rewritten(encoder) != before


@pytest.mark.parametrize("change", ["cut", "gone", "other"])
def test_a_damaged_file_is_refused(encoder: Path, change: str) -> None:
    """A file that is short, gone or another is found on opening; the message says what to do."""
    path = encoder / Tower.PROPERTIES / "model.safetensors"
    if change == "gone":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-1] if change == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataCorruptError, match=r"model\.safetensors is damaged .*: restore"):
        open_encoder_folder(encoder)


@pytest.mark.parametrize(
    "changes",
    [{"version": "0" * 12}, {"surprise": 1}, {"format": 2}, {"files": {"../x": "0" * 64}}, {"dimensions": 0}],
)
def test_a_damaged_description_is_refused(encoder: Path, changes: dict[str, object]) -> None:
    """An `encoder.json` that is not one of ours is damage, not an encoder."""
    change_json(encoder / ENCODER_FILE, **changes)
    with pytest.raises(DataCorruptError, match=r"encoder\.json is damaged"):
        open_encoder_folder(encoder)


def test_half_a_description_is_refused(encoder: Path) -> None:
    """A torn `encoder.json` is damage."""
    path = encoder / ENCODER_FILE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataCorruptError, match="damaged"):
        open_encoder_folder(encoder)


def test_towers_without_description(encoder: Path) -> None:
    """Two models of the library without `encoder.json` are an encoder, with a version of their own."""
    (encoder / ENCODER_FILE).unlink()
    first = open_encoder_folder(encoder)
    assert first.file is None
    change_json(encoder / Tower.STRUCTURE / "config.json", note="another")
    assert open_encoder_folder(encoder).version != first.version


def test_one_model_serves_as_both(encoder: Path) -> None:
    """A single model of the library is both towers."""
    towers = open_encoder_folder(encoder / Tower.STRUCTURE).towers
    assert set(towers.values()) == {encoder / Tower.STRUCTURE}


def test_what_is_no_encoder(tmp_path: Path) -> None:
    """A folder without models is refused with what would be in it."""
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ModelFailedError, match=r"no modules\.json"):
        open_encoder_folder(tmp_path)


def test_a_missing_tower_is_damage(encoder: Path) -> None:
    """An encoder that says it has two towers and has one is damaged."""
    (encoder / Tower.STRUCTURE / "modules.json").unlink()
    with pytest.raises(DataCorruptError, match="tower"):
        open_encoder_folder(encoder)


def test_pickles_are_not_read(encoder: Path) -> None:
    """Weights that could run code are refused, with or without a description."""
    (encoder / Tower.STRUCTURE / "model.safetensors").rename(encoder / Tower.STRUCTURE / "pytorch_model.bin")
    with pytest.raises(ModelFailedError, match="safetensors"):
        open_encoder_folder(encoder)
    with pytest.raises(ModelFailedError, match="safetensors"):
        rewritten(encoder)


def test_every_file_of_the_towers_is_listed(encoder: Path) -> None:
    """`encoder.json` has a checksum of each file that a vector depends on."""
    listed = set(json.loads((encoder / ENCODER_FILE).read_text())["files"])
    present = {
        p.relative_to(encoder).as_posix() for t in Tower for p in (encoder / t).rglob("*") if p.is_file()
    }
    assert listed == {path for path in present if not path.endswith(".md")}
