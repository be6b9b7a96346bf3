"""An encoder on disk: a folder with `encoder.json` beside the two towers, checked before anything is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crystalmesh_common.runtime.durable import file_sha256, write_file
from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError
from crystalmesh_retrieval.encoders.encoder import EncoderInfo, Tower

ENCODER_FILE = "encoder.json"
MODULES_FILE = "modules.json"
FORMAT = 1

_UNCOUNTED = frozenset({".lock", ".md", ".partial"})
"""Endings of files that no vector depends on."""
_PICKLES = frozenset({".bin", ".ckpt", ".h5", ".pickle", ".pkl", ".pt", ".pth"})


def _check_path(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or str(path) != text:
        raise ValueError(f"{text!r} is no path within the folder")
    return text


_Path = Annotated[str, AfterValidator(_check_path)]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class EncoderFile(BaseModel):
    """What `encoder.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(FORMAT, ge=1, le=FORMAT, description="of this folder")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    version: str = Field(pattern=r"^[0-9a-f]{12}$", description="follows from `files`")
    dimensions: int = Field(ge=1, description="of a vector")
    max_tokens: int = Field(ge=1, description="of a text; what is beyond is cut off")
    describer: str = Field(description="that wrote the texts it was trained on")
    description: str = ""
    files: Mapping[_Path, _Sha256] = Field(min_length=1, description="SHA-256 by path within the folder")

    @property
    def info(self) -> EncoderInfo:
        return EncoderInfo(
            self.name, self.version, self.dimensions, self.max_tokens, self.describer, self.description
        )


@dataclass(frozen=True)
class EncoderFolder:
    """Where an encoder's towers are. One tower may serve as both."""

    path: Path
    towers: Mapping[Tower, Path]
    file: EncoderFile | None  # None: a folder of somebody else's, with no `encoder.json`
    version: str


def write_encoder_json(
    folder: Path, *, name: str, dimensions: int, max_tokens: int, describer: str, description: str = ""
) -> EncoderInfo:
    """Make two stored towers, `properties/` and `structure/`, an encoder: hash and describe their files.

    Durable on return; raises ModelFailedError where a tower is missing or stored as pickle.
    """
    towers = _towers(folder).values()
    _refuse_pickles(towers)
    files = _hashed(folder, towers)
    entry = EncoderFile(
        name=name,
        version=_version(files),
        dimensions=dimensions,
        max_tokens=max_tokens,
        describer=describer,
        description=description,
        files=files,
    )
    write_file(folder / ENCODER_FILE, json.dumps(entry.model_dump(mode="json"), indent=1).encode() + b"\n")
    return entry.info


def open_encoder_folder(folder: Path) -> EncoderFolder:
    """The encoder of a folder, every file of it as it was written.

    Without `encoder.json` it is a pair of `sentence-transformers` models, or one that serves as both towers.
    Raises DataCorruptError where a file is missing or is not what it was, and ModelFailedError where there
    is no encoder that we read.
    """
    towers = _towers(folder)
    _refuse_pickles(towers.values())
    if not (folder / ENCODER_FILE).exists():
        return EncoderFolder(folder, towers, None, _version(_hashed(folder, set(towers.values()))))
    file = _read(folder / ENCODER_FILE)
    for path, expected in file.files.items():
        _check(folder, path, expected)
    if file.version != _version(file.files):
        raise _damaged(folder / ENCODER_FILE, "the version does not follow from the files")
    return EncoderFolder(folder, towers, file, file.version)


def _towers(folder: Path) -> Mapping[Tower, Path]:
    pair = {tower: folder / tower for tower in Tower}
    if all((path / MODULES_FILE).is_file() for path in pair.values()):
        return pair
    if (folder / MODULES_FILE).is_file():
        return dict.fromkeys(Tower, folder)
    if (folder / ENCODER_FILE).exists():
        raise _damaged(folder, f"a tower has no {MODULES_FILE}")
    raise ModelFailedError(
        f"{folder} holds no encoder: there is no {MODULES_FILE} of sentence-transformers in it, nor in its "
        f"{' and '.join(Tower)}"
    )


def _read(path: Path) -> EncoderFile:
    try:
        return EncoderFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise _damaged(path, f"{where}: {problem['msg']}") from None


def _check(folder: Path, path: str, expected: str) -> None:
    try:
        found = file_sha256(folder / path)
    except OSError as error:
        raise _damaged(folder / path, error.strerror or "it cannot be read") from None
    if found != expected:
        raise _damaged(folder / path, "it is not the file that was written")


def _hashed(folder: Path, towers: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of what the towers are made of, by path within the folder."""
    paths = {
        path
        for tower in towers
        for path in tower.rglob("*")
        if path.is_file()
        and path.suffix not in _UNCOUNTED | _PICKLES
        and not _hidden(path.relative_to(folder))
    }
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(paths)}


def _refuse_pickles(towers: Iterable[Path]) -> None:
    for tower in towers:
        for path in tower.rglob("*"):
            if path.suffix in _PICKLES and not any(path.parent.glob("*.safetensors")):
                raise ModelFailedError(
                    f"{path} may run code when it is read, so it is not: store the model as safetensors"
                )


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _version(files: Mapping[str, str]) -> str:
    lines = "".join(f"{path} {digest}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def _damaged(path: Path, problem: str) -> DataCorruptError:
    return DataCorruptError(
        f"{path} is damaged ({problem}): restore the encoder's folder from a copy, or "
        "install or train it again",
        file=path,
    )
