"""What a batch of materials changes in a catalog, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.catalog.analysis import analyzed, check_fields
from crystalmesh_retrieval.catalog.material import Material, MaterialInput
from crystalmesh_retrieval.catalog.rows import Row, content_sha256


@dataclass(frozen=True)
class Rejection:
    """A material that was not added, and why."""

    index: int  # its position in the batch
    material_id: str
    error: CrystalMeshError


@dataclass
class Changes:
    """The rows to write, by id, and how the materials of the batch are counted."""

    rows: dict[str, Row] = field(default_factory=dict)
    added: int = 0  # ids that were new
    replaced: int = 0
    unchanged: int = 0
    rejections: list[Rejection] = field(default_factory=list)


def changes_by(materials: Sequence[MaterialInput], known: Mapping[str, bytes]) -> Changes:
    """What comes of materials one after the other; `known` holds the content hashes that the catalog has."""
    changes = Changes()
    hashes = [_hash(material) for material in materials]
    news = [
        material
        for material, content in zip(materials, hashes, strict=True)
        if isinstance(content, bytes) and known.get(material.id) != content
    ]
    outcomes = iter(analyzed(news))
    current = dict(known)
    for index, (material, content) in enumerate(zip(materials, hashes, strict=True)):
        if isinstance(content, CrystalMeshError):
            changes.rejections.append(Rejection(index, material.id, content))
            continue
        # What the catalog has already has been looked at, once.
        outcome = None if known.get(material.id) == content else next(outcomes)
        if isinstance(outcome, CrystalMeshError):
            changes.rejections.append(Rejection(index, material.id, outcome))
            continue
        _count(changes, current.get(material.id), content)
        current[material.id] = content
        _plan(changes, material.id, outcome, content)
    return changes


def _hash(material: MaterialInput) -> bytes | CrystalMeshError:
    try:
        check_fields(material)
    except CrystalMeshError as error:
        return error
    return content_sha256(material)


def _count(changes: Changes, before: bytes | None, content: bytes) -> None:
    if before == content:
        changes.unchanged += 1
    elif before is None:
        changes.added += 1
    else:
        changes.replaced += 1


def _plan(changes: Changes, material_id: str, material: Material | None, content: bytes) -> None:
    if material is None:  # what the catalog has stays, whatever came in between
        changes.rows.pop(material_id, None)
    else:
        changes.rows[material_id] = Row(material, content)
