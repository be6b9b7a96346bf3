from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError, ModelNotFoundError
from crystalmesh_retrieval.encoders.encoder import Tower
from crystalmesh_retrieval.encoders.folder import ENCODER_FILE
from crystalmesh_retrieval.encoders.loading import EncoderOptions, load_encoder
from crystalmesh_retrieval.encoders.measuring import measured_ranges
from crystalmesh_retrieval.encoders.ranges import read_ranges
from tests.retrieval.encoders.tiny_encoders import TEXTS, bert, change_json, save_pair, save_tower

CPU = EncoderOptions(device="cpu", threads=1)
VNNI = bool(torch.cpu._is_vnni_supported())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pair(tmp_path_factory.mktemp("saved") / "tiny", measured=True)


@pytest.fixture
def own(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage, which is checked no more."""
    folder = copytree(saved, tmp_path / "tiny")
    (folder / ENCODER_FILE).unlink()
    return folder


def test_an_unknown_name(tmp_path: Path) -> None:
    """A name that is nothing says what there is."""
    with pytest.raises(ModelNotFoundError, match="no encoder 'nonesuch'"):
        load_encoder("nonesuch", CPU)
    with pytest.raises(ModelNotFoundError, match="no encoder"):
        load_encoder(str(tmp_path), CPU)


def test_nothing_is_downloaded_unasked() -> None:
    """A name of the Hugging Face hub is not found until downloads are allowed."""
    with pytest.raises(ModelNotFoundError, match="allow_downloads"):
        load_encoder("sentence-transformers/sentence-t5-base", CPU)


@pytest.mark.parametrize("wrong", [{"precision": "float8"}, {"engine": "tpu"}, {"threads": -1}])
def test_options_are_checked(wrong: dict[str, object]) -> None:
    """An option that is none is refused when it is set."""
    with pytest.raises(ValueError, match=next(iter(wrong.values())).__str__()):
        EncoderOptions(**wrong)  # type: ignore[arg-type]


def test_a_device_that_is_not_there(saved: Path) -> None:
    """A device that the machine lacks is refused by name."""
    with pytest.raises(ModelFailedError, match="cuda:99"):
        load_encoder(str(saved), EncoderOptions(device="cuda:99"))


def test_int8_only_where_ranges_were_measured(saved: Path, tmp_path: Path) -> None:
    """`auto` is eight bits for towers with ranges alone; others have the points of float32."""
    plain = save_pair(tmp_path / "plain")
    points = {
        (folder, precision): load_encoder(
            str(folder), EncoderOptions(device="cpu", threads=1, precision=precision)
        )
        .encode(Tower.STRUCTURE, TEXTS)
        .vectors
        for folder in (saved, plain)
        for precision in ("auto", "float32")
    }
    assert np.array_equal(points[plain, "auto"], points[plain, "float32"])
    assert np.array_equal(points[saved, "auto"], points[saved, "float32"]) is not VNNI


def test_int8_is_not_for_everything(tmp_path: Path) -> None:
    """Gated layers, other architectures and towers without ranges say that they have no eight bits."""
    gated = save_pair(tmp_path / "gated", projection="gated-gelu")
    plain = save_pair(tmp_path / "plain")
    save_tower(bert(seed=0), tmp_path / "bert")
    for folder in (gated, plain, tmp_path / "bert"):
        with pytest.raises(ModelFailedError, match="int8"):
            load_encoder(str(folder), EncoderOptions(device="cpu", precision="int8"))


@pytest.mark.skipif(not VNNI, reason="this CPU has no product of 8-bit integers")
@pytest.mark.parametrize("text", ["[]", "{", '[{"read": -1}]', '[{"read": NaN}]', "[[1, 2]]"])
def test_broken_ranges_are_damage(own: Path, text: str) -> None:
    """Ranges that are none, or of other layers, are damage with the path."""
    (own / Tower.STRUCTURE / "ranges.json").write_text(text)
    with pytest.raises(DataCorruptError, match=r"ranges\.json .*restore"):
        load_encoder(str(own), CPU)


def test_ranges_hold_what_was_seen(saved: Path) -> None:
    """Measured on fewer texts, ranges are at most as large; written and read, they are the same."""
    folder = saved / Tower.STRUCTURE
    stored = read_ranges(folder)
    assert stored is not None
    few = measured_ranges(folder, TEXTS[:2])
    for all_texts, two in zip(stored, few, strict=True):
        assert all(
            0 < getattr(two, name) <= getattr(all_texts, name) * 1.001
            for name in ("attention_input", "read", "feed_input", "hidden")
        )
    assert measured_ranges(folder, TEXTS) == list(stored)


def test_our_engine_is_not_for_everything(tmp_path: Path) -> None:
    """Asked for by name, our forward pass refuses what it does not run."""
    save_tower(bert(seed=0), tmp_path / "bert")
    with pytest.raises(ModelFailedError, match="no T5 encoder"):
        load_encoder(str(tmp_path / "bert"), EncoderOptions(device="cpu", engine="torch"))


def test_code_of_a_model_is_not_run(own: Path) -> None:
    """A module that is not of sentence-transformers is refused before it is imported."""
    path = own / Tower.STRUCTURE / "modules.json"
    path.write_text(path.read_text().replace("sentence_transformers.", "evil_package."))
    with pytest.raises(ModelFailedError, match="evil_package"):
        load_encoder(str(own), CPU)


def test_modules_outside_the_folder_are_refused(own: Path) -> None:
    """A module's path cannot leave the model."""
    path = own / Tower.STRUCTURE / "modules.json"
    path.write_text(path.read_text().replace('"1_Pooling"', '"../properties/1_Pooling"'))
    with pytest.raises(ModelFailedError, match="came with the model"):
        load_encoder(str(own), CPU)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "modules.json", "config.json"])
def test_broken_files_are_damage(own: Path, file: str) -> None:
    """A file cut short, where no checksum tells, is damage, whatever library reads it."""
    path = own / Tower.STRUCTURE / file
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataCorruptError, match="restore"):
        load_encoder(str(own), CPU)


def test_weights_that_do_not_fit_are_damage(own: Path) -> None:
    """More layers than there are weights for is damage."""
    change_json(own / Tower.STRUCTURE / "config.json", num_layers=5)
    with pytest.raises(DataCorruptError, match=r"not those of its config\.json"):
        load_encoder(str(own), EncoderOptions(device="cpu", precision="float32"))


def test_torch_is_left_as_it_was(saved: Path) -> None:
    """Encoding changes the threads of torch for itself only."""
    encoder = load_encoder(str(saved), EncoderOptions(device="cpu", threads=2))
    before = torch.get_num_threads()
    encoder.encode(Tower.STRUCTURE, TEXTS)
    assert torch.get_num_threads() == before


def test_it_boots_without_the_large_libraries(saved: Path) -> None:
    """Our engine imports neither transformers nor sentence-transformers, which take seconds."""
    script = (
        "import sys\n"
        "from crystalmesh_retrieval.encoders.loading import load_encoder\n"
        "from crystalmesh_retrieval.encoders.encoder import Tower\n"
        f"load_encoder({str(saved)!r}).encode(Tower.STRUCTURE, ['NaCl'])\n"
        "print(sorted({'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "[]"
