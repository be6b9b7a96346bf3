"""The file that says which vectors of a catalog there are, and how they are searched."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.catalog.manifest import MANIFEST
from crystalmesh_retrieval.encoders.encoder import EncoderInfo
from crystalmesh_retrieval.vectors.kinds import IndexKind

FORMAT = 1


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BlockEntry(_Entry):
    """A file of vectors with the keys of their materials, which is never changed once it is here."""

    file: str = Field(pattern=r"^[0-9a-f]{24}\.vectors$", description="its name beside the manifest")
    rows: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    without_text: tuple[int, ...] = Field(
        (), description="rows whose material the describer has no words for; never found"
    )

    @property
    def live_rows(self) -> int:
        return self.rows


class AnnEntry(_Entry):
    """An index of faiss over the first block."""

    file: str = Field(pattern=r"^[0-9a-f]{24}\.faiss$", description="its name beside the manifest")
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    over: str = Field(description="the block that it is an index of, always the first")
    kind: IndexKind
    effort: int = Field(ge=1, description="efSearch or nprobe, tuned when it was built")
    candidates: float = Field(ge=1, description="compared exactly, as a multiple of the hits asked for")
    growth_by_limit: float = Field(ge=0, description="power of the hits asked for that the effort grows with")
    growth_by_filter: float = Field(ge=0, description="likewise, of the share that a filter leaves out")
    recall_at_10: float = Field(ge=0, le=1)
    build_seconds: float = Field(ge=0)


class EncoderEntry(_Entry):
    """The encoder that the vectors are of."""

    name: str
    version: str
    dimensions: int = Field(ge=1)
    describer: str


class IndexManifest(_Entry):
    """All there is to know of the vectors of a catalog by one encoder."""

    format: int = Field(FORMAT, ge=1, le=FORMAT, description="of this directory")
    encoder: EncoderEntry
    wanted_kind: IndexKind | None = Field(None, description="that somebody asked for; null: by size")
    blocks: tuple[BlockEntry, ...] = ()
    ann: AnnEntry | None = None
    create_time: datetime
    update_time: datetime

    @model_validator(mode="after")
    def _check_ann(self) -> Self:
        if self.ann and (not self.blocks or self.ann.over != self.blocks[0].file):
            raise ValueError("the index is over a block that is not the first")
        return self

    @property
    def size_bytes(self) -> int:
        return sum(block.bytes for block in self.blocks) + (self.ann.bytes if self.ann else 0)

    @property
    def files(self) -> frozenset[str]:
        """The files that count."""
        return frozenset([*(block.file for block in self.blocks), *([self.ann.file] if self.ann else [])])

    def changed(self, **fields: object) -> IndexManifest:
        """With other fields, as of now."""
        return self.model_copy(update={**fields, "update_time": datetime.now(UTC)})


def new_manifest(encoder: EncoderInfo) -> IndexManifest:
    """That of an index without vectors."""
    now = datetime.now(UTC)
    return IndexManifest(encoder=encoder_entry(encoder), create_time=now, update_time=now)


def encoder_entry(encoder: EncoderInfo) -> EncoderEntry:
    return EncoderEntry(
        name=encoder.name,
        version=encoder.version,
        dimensions=encoder.dimensions,
        describer=encoder.describer,
    )


def read_index_manifest(folder: Path) -> IndexManifest | None:
    """The manifest of an index, or None where there is none; DataCorruptError where it is damaged."""
    path = folder / MANIFEST
    try:
        return IndexManifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise damaged(
            path, f"it is no manifest that this version reads ({where}: {problem['msg']})"
        ) from None


def write_index_manifest(folder: Path, manifest: IndexManifest) -> None:
    """Make it the manifest of the index, durably and in one step."""
    write_file(folder / MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")


def damaged(path: Path, problem: str) -> DataCorruptError:
    """What to say of a file of an index, and what to do about it."""
    catalog, encoder = path.parents[2].name, path.parent.name.rpartition("-")[0]
    return DataCorruptError(
        f"{path} is damaged: {problem}. The materials are safe; run `crystalmesh catalog index {catalog} "
        f"--encoder {encoder}`, which makes again what is damaged",
        file=path,
    )
