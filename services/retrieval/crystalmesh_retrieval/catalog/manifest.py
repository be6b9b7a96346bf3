"""The file that says what a catalog is: which segments count, and how far its imports have come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError, ResourceNotFoundError

MANIFEST = "manifest.json"
FORMAT = 1

_EMPTY_VERSION = "0" * 64


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentEntry(_Entry):
    """A file of materials, which is never changed once it is here."""

    file: str = Field(pattern=r"^[0-9a-f]{24}\.parquet$", description="its name under segments/")
    rows: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dead_rows: tuple[int, ...] = Field((), description="rows that were replaced or removed, ascending")

    @model_validator(mode="after")
    def _check_dead_rows(self) -> Self:
        if any(before >= after for before, after in pairwise((-1, *self.dead_rows, self.rows))):
            raise ValueError("dead rows must ascend and lie within the segment")
        return self

    @property
    def live_rows(self) -> int:
        return self.rows - len(self.dead_rows)


class ImportEntry(_Entry):
    """How far an import has come; committed together with the materials, so it is never ahead of them."""

    cursor: str = Field("", description="where to go on, in the terms of the source; empty: at the start")
    is_done: bool = False
    received: int = Field(0, ge=0, description="rows that were looked at")
    update_time: datetime


class Manifest(_Entry):
    """All there is to know of a catalog besides its materials."""

    format: int = Field(FORMAT, ge=1, le=FORMAT, description="of this directory")
    name: str
    description: str = ""
    content_version: str = Field(
        _EMPTY_VERSION, description="sum of the materials' hashes: equal for equal materials, in any order"
    )
    segments: tuple[SegmentEntry, ...] = ()
    imports: Mapping[str, ImportEntry] = Field(default_factory=dict, description="by source")
    attributions: tuple[str, ...] = Field((), description="that the licences of its sources ask for")
    create_time: datetime
    update_time: datetime

    @property
    def material_count(self) -> int:
        return sum(segment.live_rows for segment in self.segments)

    @property
    def size_bytes(self) -> int:
        return sum(segment.bytes for segment in self.segments)

    def changed(self, **fields: object) -> Manifest:
        """With other fields, as of now."""
        return self.model_copy(update={**fields, "update_time": datetime.now(UTC)})


def read_manifest(folder: Path) -> Manifest:
    """The manifest; ResourceNotFoundError where there is no catalog, DataCorruptError where it is damaged."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ResourceNotFoundError(f"there is no catalog {folder}", resource="catalog") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise DataCorruptError(
            f"{path} is no manifest that this version reads ({where}: {problem['msg']}): restore it from a "
            "copy, or delete the folder and import again",
            file=path,
        ) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make it the catalog's manifest, durably and in one step."""
    write_file(folder / MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")
