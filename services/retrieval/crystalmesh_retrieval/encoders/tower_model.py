"""What a stored tower consists of: the files of `sentence-transformers`, read without that library."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError
from crystalmesh_retrieval.encoders.encoder import EncoderInfo
from crystalmesh_retrieval.encoders.folder import MODULES_FILE

_LIBRARY = "sentence_transformers."
_UNLIMITED = 1 << 20
"""`transformers` writes 1e30 where a tokenizer has no limit."""


class Part(Enum):
    """The kinds of modules that a tower of our own kind is made of."""

    TRANSFORMER = "Transformer"
    POOLING = "Pooling"
    DENSE = "Dense"
    NORMALIZE = "Normalize"
    OTHER = ""


@dataclass(frozen=True)
class Module:
    """One step from text to vector."""

    part: Part
    folder: Path
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class TowerModel:
    """The steps of a tower, and how much of a text it reads."""

    folder: Path
    modules: tuple[Module, ...]
    max_tokens: int | None  # None: it reads the whole

    reads_plain_text: bool  # as it is: no prompt put before it, no small letters made of it

    @property
    def transformer(self) -> Module:
        return self.modules[0]


def info_of_pair(info: EncoderInfo, dimensions: Collection[int], limits: Iterable[int]) -> EncoderInfo:
    """The encoder's facts, with what only its towers know: their dimensions and the tokens they read.

    Raises ModelFailedError for towers whose vectors cannot be compared with each other, or not as stated.
    """
    if len(set(dimensions)) > 1 or (info.dimensions and info.dimensions not in dimensions):
        raise ModelFailedError(
            f"the towers of {info.name} have {sorted(dimensions)} dimensions: they are no pair"
        )
    return replace(
        info, dimensions=next(iter(dimensions)), max_tokens=info.max_tokens or min(limits, default=0)
    )


def read_tower(folder: Path) -> TowerModel:
    """The tower in a folder.

    Raises ModelFailedError where it needs code that is not of `sentence-transformers`, and DataCorruptError
    where a file is not JSON.
    """
    modules = tuple(_module(folder, entry) for entry in _json(folder / MODULES_FILE))
    if not modules:
        raise ModelFailedError(f"{folder / MODULES_FILE} lists no module")
    prompts = _json(folder / "config_sentence_transformers.json", missing={})
    options = _transformer_options(modules[0])
    is_plain = not prompts.get("default_prompt_name") and not options.get("do_lower_case")
    return TowerModel(folder, modules, _max_tokens(modules[0]), is_plain)


def _transformer_options(transformer: Module) -> Mapping[str, Any]:
    options: Mapping[str, Any] = _json(transformer.folder / "sentence_bert_config.json", missing={})
    return options


def _module(folder: Path, entry: Mapping[str, str]) -> Module:
    kind, path = entry.get("type", ""), folder / entry.get("path", "")
    if not kind.startswith(_LIBRARY) or not path.resolve().is_relative_to(folder.resolve()):
        raise ModelFailedError(
            f"{folder / MODULES_FILE} asks for {kind!r}, which is code that came with the model; "
            "only modules of sentence-transformers are run"
        )
    name = kind.rpartition(".")[2]
    part = Part(name) if name in {p.value for p in Part} else Part.OTHER
    return Module(part, path, _json(path / "config.json", missing={}))


def _max_tokens(transformer: Module) -> int | None:
    """As `sentence-transformers` limits it: as was set there, else by the tokenizer and the positions."""
    own = _transformer_options(transformer).get("max_seq_length")
    tokenizer = _json(transformer.folder / "tokenizer_config.json", missing={}).get("model_max_length")
    limits = [own or tokenizer, None if own else transformer.settings.get("max_position_embeddings")]
    known = [int(limit) for limit in limits if limit and limit < _UNLIMITED]
    return min(known, default=None)


def _json(path: Path, *, missing: Any = None) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        if missing is None:
            raise ModelFailedError(f"there is no {path}") from None
        return missing
    except ValueError as error:
        raise DataCorruptError(
            f"{path} is no JSON ({error}): restore the encoder's folder from a copy", file=path
        ) from None
