from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import T5Config, T5EncoderModel

from crystalmesh_common.runtime.errors import InvalidFieldError, ModelNotFoundError
from crystalmesh_retrieval.encoders.encoder import Tower
from crystalmesh_retrieval.encoders.folder import open_encoder_folder
from crystalmesh_retrieval.encoders.ranges import read_ranges
from crystalmesh_retrieval.training.checkpoints import Progress
from crystalmesh_retrieval.training.recipe import Recipe, recipe
from crystalmesh_retrieval.training.run import Outcome, Split, train_encoder
from crystalmesh_retrieval.training.tokenizer import train_tokenizer
from crystalmesh_retrieval.training.towers import encode, new_towers
from crystalmesh_retrieval.training.trainer import Machine, TrainingStoppedError, rate_at
from tests.retrieval.training.datasets import Silent, pairs_of, silent, tiny

MACHINE = Machine(torch.device("cpu"))


@pytest.fixture
def split(split_folder: Path) -> Split:
    return Split(*(pairs_of(split_folder, name) for name in ("train", "val", "test")))


def trained(using: Recipe, split: Split, out: Path, watcher: Silent | None = None) -> Outcome:
    return train_encoder(using, split, out, MACHINE, watcher or silent(), name="tiny")


@dataclass
class Interrupting(Silent):
    """Presses Ctrl-C at a step."""

    at: int = 0

    def stepped(self, progress: Progress, steps: int, loss: float) -> None:
        super().stepped(progress, steps, loss)
        if progress.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_stopped_and_resumed_equals_uninterrupted(split: Split, tmp_path: Path) -> None:
    """Ctrl-C in the first epoch and in the second: losses and encoder are those of one go, to the bit."""
    using = tiny(dropout=0.1)
    whole = silent()
    expected = trained(using, split, tmp_path / "whole", whole)
    parts: list[float] = []
    for step in (2, 7):
        watcher = Interrupting([], [], at=step)
        with pytest.raises(TrainingStoppedError):
            trained(using, split, tmp_path / "parts", watcher)
        parts += watcher.losses
    last = silent()
    found = trained(using, split, tmp_path / "parts", last)
    assert parts + last.losses == whole.losses
    assert len(whole.losses) == 8
    assert found.info.version == expected.info.version
    assert found.table == expected.table


def test_torn_checkpoint_costs_steps_and_changes_nothing(split: Split, tmp_path: Path) -> None:
    """As after kill -9 in the middle of writing: from the one before, or from the start, to the same end."""
    using = tiny()
    expected = trained(using, split, tmp_path / "whole").info.version
    with pytest.raises(TrainingStoppedError):
        trained(using, split, tmp_path / "torn", Interrupting([], [], at=3))
    (only,) = (tmp_path / "torn" / "checkpoints").glob("step-*")
    (only / "moments.safetensors").write_bytes(b"half")
    assert trained(using, split, tmp_path / "torn").info.version == expected
    # A finished run gives its encoder again.
    assert trained(using, split, tmp_path / "torn").info.version == expected


def test_seeds_count(split: Split, tmp_path: Path) -> None:
    """Another seed is another encoder, and does not go on in the folder of the first."""
    first = trained(tiny(epochs=1), split, tmp_path / "0")
    second = trained(tiny(epochs=1, seed=1), split, tmp_path / "1")
    assert first.info.version != second.info.version
    with pytest.raises(InvalidFieldError, match="another run"):
        trained(tiny(epochs=1, seed=1), split, tmp_path / "0")


def test_nothing_is_learnt_from_test(split: Split, tmp_path: Path) -> None:
    """Without a test split, and with another, the encoder is the same: neither words nor weights saw it."""
    versions = {
        trained(tiny(epochs=1), Split(split.train, split.validation, test), tmp_path / str(n)).info.version
        for n, test in enumerate((split.test, [], split.validation))
    }
    assert len(versions) == 1


def test_loss_falls(split: Split, tmp_path: Path) -> None:
    """32 salts are learnt by heart in some epochs; the best of them is what is kept."""
    watcher = silent()
    using = tiny(epochs=8, patience=8, skimmed_epochs=0, augment=False)
    outcome = trained(using, split, tmp_path, watcher)
    assert sum(watcher.losses[-4:]) < 0.7 * sum(watcher.losses[:4])
    assert outcome.progress.best_score == max(watcher.scores)


def test_training_ends_early(split: Split, tmp_path: Path) -> None:
    """With steps of nothing no epoch is better than the first, and after `patience` more it is enough."""
    using = tiny(epochs=9, patience=2, learning_rate=1e-12, weight_decay=0.0)
    assert trained(using, split, tmp_path).progress.epoch == 3


@pytest.mark.parametrize("architecture", ["t5", "bert"])
def test_encoder_is_one_of_sentence_transformers(split: Split, tmp_path: Path, architecture: str) -> None:
    """Both towers load there as they are, in float32, and the folder passes the checks of serving."""
    outcome = trained(tiny(epochs=1, architecture=architecture), split, tmp_path)
    assert open_encoder_folder(outcome.encoder).file is not None
    assert (outcome.info.dimensions, outcome.info.describer) == (32, "crystalmesh")
    for tower in ("properties", "structure"):
        model = SentenceTransformer(str(outcome.encoder / tower), device="cpu")
        vectors = model.encode([split.test[0].structure, "日本 \x00 ?", "x" * 5000])
        assert vectors.shape == (3, 32)
        assert abs((vectors**2).sum(1) - 1).max() < 1e-5
        assert next(model.parameters()).dtype == torch.float32
    assert not [path for path in outcome.encoder.rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]


def test_a_t5_knows_its_ranges(split: Split, tmp_path: Path) -> None:
    """What computing in bytes has to know is stored with each tower, a T5's and no other's."""
    for architecture in ("t5", "bert"):
        folder = trained(tiny(epochs=1, architecture=architecture), split, tmp_path / architecture).encoder
        for tower in Tower:
            ranges = read_ranges(folder / tower)
            assert (ranges is not None) is (architecture == "t5")
            assert ranges is None or len(ranges) == tiny().layers


def test_pretrained_base_from_a_folder(split: Split, tmp_path: Path) -> None:
    """The paper's recipe with a stand-in for t5-base: its tokenizer, its weights, eight batches a step."""
    base = tmp_path / "base"
    tokenizer = train_tokenizer([pair.structure for pair in split.train], 600, 64)
    tokenizer.save_pretrained(str(base))
    small = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0
    )
    T5EncoderModel(small).save_pretrained(str(base))
    using = recipe("paper", base=str(base), batch=4, epochs=1, max_tokens=64)
    watcher = silent()
    outcome = trained(using, split, tmp_path / "out", watcher)
    assert len(watcher.losses) == 1
    assert outcome.info.dimensions == 16


def test_absent_base_is_said(split: Split, tmp_path: Path) -> None:
    """A base that is no folder and no name says what to give instead."""
    with pytest.raises(ModelNotFoundError, match="--base"):
        trained(recipe("paper", base=str(tmp_path / "nothing"), batch=4), split, tmp_path / "out")


def test_less_than_a_batch_is_refused(split: Split, tmp_path: Path) -> None:
    """32 materials are no batch of 128."""
    with pytest.raises(InvalidFieldError, match="a batch is 128 materials, and there are 32"):
        trained(recipe("compact"), split, tmp_path)


def test_new_layers_add_nothing(split: Split) -> None:
    """A fresh T5 of the compact recipe is a mean over token embeddings, whatever the order of the tokens."""
    tokenizer = train_tokenizer([pair.structure for pair in split.train], 600, 64)
    tower = new_towers(tiny(), tokenizer).structure.eval()
    with torch.no_grad():
        vectors = encode(tower, [[300, 301, 302, 1], [302, 300, 1, 301], [300, 303, 302, 1]])
    assert torch.allclose(vectors[0], vectors[1], atol=1e-6)
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-2)


def test_rates_by_hand() -> None:
    """Up during the warm-up, flat, then down to nothing."""
    using = tiny(warm_up=0.1, decay=0.5)
    assert [rate_at(share, using) for share in (0.05, 0.1, 0.5, 0.75, 1.0)] == [0.5, 1.0, 1.0, 0.5, 0.0]
