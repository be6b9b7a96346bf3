"""A whole training: data, tokenizer, towers, loop, and the encoder that comes out, measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from crystalmesh_common.runtime.durable import make_folder, write_file
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_retrieval.encoders.encoder import EncoderInfo, Tower, Vectors
from crystalmesh_retrieval.sources.source import SourceFileError
from crystalmesh_retrieval.training.checkpoints import Checkpoints, Progress
from crystalmesh_retrieval.training.evaluation import QUESTIONS, Summary, Vectorizer, by_cosine, evaluated
from crystalmesh_retrieval.training.export import write_encoder
from crystalmesh_retrieval.training.hull import with_hull_distances
from crystalmesh_retrieval.training.pairs import Pair, digest, read_pairs
from crystalmesh_retrieval.training.queries import query
from crystalmesh_retrieval.training.recipe import Recipe
from crystalmesh_retrieval.training.tokenizer import stored_tokenizer, train_tokenizer
from crystalmesh_retrieval.training.towers import TowerPair, base_tokenizer, new_towers
from crystalmesh_retrieval.training.trainer import Machine, Trainer, Watcher

_SAMPLED_PAIRS = 256

Table = Mapping[str, Mapping[int, Summary]]
"""Figures by question and size of the pool."""


@dataclass(frozen=True)
class Split:
    """What is learnt from, what decides when it is enough, and what nothing is learnt from."""

    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]  # empty where there is none


@dataclass(frozen=True)
class Outcome:
    """What a training has led to."""

    encoder: Path
    info: EncoderInfo
    progress: Progress
    table: Table  # on the test split, of the weights as they are stored


def read_split(
    folder: Path,
    cache: Path,
    *,
    hull: Path | None = None,
    processes: int = 2,
    progress: Callable[[str, int], None] = lambda name, rows: None,
) -> Split:
    """The pairs of `train.parquet`, `val.parquet` and, where there is one, `test.parquet` of a folder.

    With `hull`, energies above hull that train lacks are computed from that table. Raises SourceFileError
    and InvalidFieldError, the latter too where a material is in two of them.
    """
    if not folder.is_dir():
        raise SourceFileError(f"{folder} is no folder with train.parquet and val.parquet")

    def pairs(name: str) -> list[Pair]:
        path = folder / f"{name}.parquet"
        return read_pairs(path, cache, processes=processes, progress=lambda rows: progress(name, rows))

    train, validation = pairs("train"), pairs("val")
    test = pairs("test") if (folder / "test.parquet").exists() else []
    _check_apart(train, {"val": validation, "test": test})
    return Split(train if hull is None else with_hull_distances(train, hull), validation, test)


def train_encoder(
    recipe: Recipe, split: Split, out: Path, machine: Machine, watcher: Watcher, *, name: str
) -> Outcome:
    """Train, or go on with what is in `out`, and write the encoder to `out/encoder`.

    The same recipe on the same data gives the same encoder on the same machine, in one go or in many.
    Raises InvalidFieldError where `out` is another run's or there is less than one batch,
    WriterBusyError, ModelNotFoundError for a base that is not at hand, and TrainingStoppedError.
    """
    if len(split.train) < recipe.batch:
        raise InvalidFieldError(
            f"a batch is {recipe.batch} materials, and there are {len(split.train)}: give --batch",
            field="batch",
        )
    checkpoints = Checkpoints(out / "checkpoints")
    identity = {"recipe": recipe.model_dump(mode="json"), "data": _data_identity(split)}
    with checkpoints.claimed(identity):
        tokenizer = tokenizer_for(recipe, split.train, out)
        towers = new_towers(recipe, tokenizer)
        trainer = Trainer(recipe, towers, tokenizer, machine, checkpoints)
        progress = trainer.run(split.train, split.validation, watcher)
        round_weights(towers)
        folder = out / "encoder"
        info = write_encoder(
            towers,
            tokenizer,
            recipe,
            folder,
            name=name,
            samples=sample_texts(split.validation, recipe.seed),
            description=_description(recipe),
        )
        table = tabulated(trainer.vectors, split.test) if split.test else {}
        facts = {**identity, "progress": asdict(progress), "test": _as_json(table)}
        write_file(folder / "training.json", json.dumps(facts, indent=1).encode() + b"\n")
    return Outcome(folder, info, progress, table)


def tokenizer_for(recipe: Recipe, train: Sequence[Pair], folder: Path) -> PreTrainedTokenizerFast:
    """The base's own tokenizer, or one learnt from the training texts alone and kept in the folder."""
    if recipe.base:
        return base_tokenizer(recipe)
    kept = folder / "tokenizer"
    if not (kept / "tokenizer.json").exists():
        make_folder(kept)
        made = train_tokenizer(tokenizer_texts(recipe, train), recipe.vocabulary, recipe.max_tokens)
        # Last and in one step, so that a run killed here begins it anew.
        write_file(kept / "tokenizer.json", made.backend_tokenizer.to_str().encode())
    return stored_tokenizer(kept / "tokenizer.json", recipe.max_tokens)


def tokenizer_texts(recipe: Recipe, train: Sequence[Pair]) -> Iterator[str]:
    random = Random(recipe.seed)  # noqa: S311 -- it is no secret
    for pair in train:
        yield from (pair.structure, pair.structure_without_formula)
        yield from (query(pair, random, formula=formula) for formula in (True, False))


def sample_texts(pairs: Sequence[Pair], seed: int) -> Mapping[Tower, list[str]]:
    """Texts of some pairs as each tower may read them, with the formula and without."""
    random = Random(seed)  # noqa: S311 -- it is no secret
    some = pairs[:: max(1, len(pairs) // _SAMPLED_PAIRS)][:_SAMPLED_PAIRS]
    return {
        Tower.PROPERTIES: [
            query(pair, random, formula=formula) for pair in some for formula in (True, False)
        ],
        Tower.STRUCTURE: [text for pair in some for text in (pair.structure, pair.structure_without_formula)],
    }


def round_weights(towers: TowerPair) -> None:
    """Make the weights what they are once stored in half precision."""
    with torch.no_grad():
        for parameter in towers.parameters():
            parameter.copy_(parameter.half().float())


def tabulated(vectors: Vectorizer, pairs: Sequence[Pair], seed: int = 0) -> Table:
    """The paper's table on some pairs, for each question."""
    table = {}
    structures: dict[bool, Vectors] = {}
    for name, question in QUESTIONS.items():
        texts = question.texts(pairs)
        # Structures read the same for two of the questions, and take nearly all of the time.
        if question.formula not in structures:
            structures[question.formula] = vectors([], texts[1])[1]
        queries = vectors(texts[0], [])[0]
        table[name] = evaluated(by_cosine(queries, structures[question.formula]), len(pairs), seed=seed)
    return table


def _check_apart(train: Sequence[Pair], others: Mapping[str, Sequence[Pair]]) -> None:
    learnt = {pair.id for pair in train}
    for name, pairs in others.items():
        if both := sorted(learnt & {pair.id for pair in pairs}):
            raise InvalidFieldError(
                f"{len(both)} materials of {name} are in train, {both[0]} for one: nothing could be measured",
                field="data",
            )


def _data_identity(split: Split) -> str:
    return hashlib.sha256(f"{digest(split.train)} {digest(split.validation)}".encode()).hexdigest()


def _description(recipe: Recipe) -> str:
    return f"{recipe.architecture} towers, {recipe.layers} layers of {recipe.width}, preset {recipe.preset}"


def _as_json(table: Table) -> dict[str, dict[str, dict[str, float]]]:
    return {
        name: {str(size): asdict(found) for size, found in sizes.items()} for name, sizes in table.items()
    }
