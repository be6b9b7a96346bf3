"""A file of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.pairs.columns import (
    crystal_columns,
    crystals_of,
    origin_of,
    read_table,
    write_table,
)

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Pair:
    """A target and a reference that it is to be written from, by their rows in their tables."""

    target: int
    reference: int
    displacement: float | None  # of sites, as of `Alignment`; None where the two do not align
    crystal: Crystal
    """The target: in the setting of its reference where they align, else in its own standard setting."""

    @property
    def aligned(self) -> bool:
        """Whether both have one structure, so that the crystal is the reference with changes."""
        return self.displacement is not None


@dataclass(frozen=True)
class PairOrigin:
    """What a file of pairs was made from."""

    targets_sha256: str
    references_sha256: str
    seed: int
    per_target: int
    sample: int | None
    left_out: tuple[tuple[int, str], ...]  # rows of targets that are no sound crystals, and why
    unaligned: tuple[int, ...]  # rows of targets without any aligned reference

    def same_request(self, other: PairOrigin) -> bool:
        """Whether the same was asked for of the same tables."""
        return self._asked == other._asked

    @property
    def _asked(self) -> tuple[object, ...]:
        return self.targets_sha256, self.references_sha256, self.seed, self.per_target, self.sample

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """From what the metadata of a file says."""
        return cls(
            targets_sha256=str(said["targets_sha256"]),
            references_sha256=str(said["references_sha256"]),
            seed=int(said["seed"]),
            per_target=int(said["per_target"]),
            sample=None if said["sample"] is None else int(said["sample"]),
            left_out=tuple((int(row), str(reason)) for row, reason in said["left_out"]),
            unaligned=tuple(int(row) for row in said["unaligned"]),
        )


@dataclass(frozen=True, eq=False)
class PairTable:
    """Pairs, those of one target together, in the order of the targets' table."""

    pairs: Sequence[Pair]
    origin: PairOrigin


def write_pairs(path: Path, table: PairTable) -> None:
    """Put a Parquet file with the pairs in place in one step."""
    pairs = table.pairs
    columns = {
        "target": pa.array([pair.target for pair in pairs], pa.int32()),
        "reference": pa.array([pair.reference for pair in pairs], pa.int32()),
        "aligned": pa.array([pair.aligned for pair in pairs], pa.bool_()),
        "displacement": pa.array([pair.displacement for pair in pairs], pa.float32()),
        **crystal_columns([pair.crystal for pair in pairs]),
    }
    write_table(path, pa.table(columns), {"format": FORMAT, **vars(table.origin)})


def read_pairs(path: Path) -> PairTable:
    """What `write_pairs` wrote, in single precision. Raises `DataCorruptError` for anything else."""
    table, origin = read_table(path, FORMAT)
    columns = (table.column(name).to_pylist() for name in ("target", "reference", "displacement"))
    pairs = [
        Pair(target, reference, displacement, crystal)
        for target, reference, displacement, crystal in zip(*columns, crystals_of(table), strict=True)
    ]
    return PairTable(pairs, PairOrigin.of(origin))


def origin_of_pairs(path: Path) -> PairOrigin | None:
    """What a file of pairs was made from; None for no such file."""
    said = origin_of(path)
    if said is None or said.get("format") != FORMAT or "per_target" not in said:
        return None
    return PairOrigin.of(said)
