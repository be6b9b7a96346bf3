"""Many graphs in one file that is mapped into memory: no parsing, no copies, no pickle.

The file is safetensors: an eight-byte length, a JSON header, arrays one after the other. Graphs lie end to
end, so each is a slice; opening checks every array against its CRC-32, at about 1 GB/s.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_property.graphs.graph import ANGULAR_TERMS, CrystalGraph, GraphOptions
from crystalmesh_property.properties import Property

FORMAT = 1
_KEY = "crystalmesh_graphs"
_DTYPES = {
    "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I64": np.int64, "F16": np.float16, "F32": np.float32,
}  # fmt: skip
_LAYOUT: Mapping[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "node_offsets": (np.int64, ()),  # (c + 1,)
    "edge_offsets": (np.int64, ()),  # (c + 1,)
    "elements": (np.uint8, ()),  # nodes end to end
    "multiplicities": (np.uint16, ()),
    "targets": (np.uint16, ()),  # edges end to end
    "sources": (np.uint16, ()),
    "counts": (np.uint16, ()),
    "distances": (np.float32, ()),
    "angles": (np.float16, (ANGULAR_TERMS,)),
    "space_groups": (np.uint8, ()),  # (c,), as everything below
    "volumes": (np.float32, ()),
    "labels": (np.float32, (len(Property),)),  # NaN where there is none
    "rows": (np.int64, ()),  # in the table it came from
    "folds": (np.int8, ()),  # -1 where the table has none
    "overlaps": (np.int8, ()),  # 1 for what is also in an MP-20 evaluation part, -1 where nothing is said
}


@dataclass(frozen=True)
class Origin:
    """What a file of graphs was made from."""

    table: str  # file name
    sha256: str
    rows: int
    left_out: tuple[tuple[int, str], ...]  # row and what is wrong with it
    options: GraphOptions


class PackedGraphs:
    """A file of graphs with their labels, mapped into memory. Threads may share it."""

    def __init__(
        self, path: Path, origin: Origin, arrays: Mapping[str, NDArray[Any]], ids: list[str]
    ) -> None:
        self.path = path
        self.origin = origin
        self.ids = ids
        self.elements: NDArray[np.uint8] = arrays["elements"]
        self.space_groups: NDArray[np.uint8] = arrays["space_groups"]  # (c,)
        self.volumes: NDArray[np.float32] = arrays["volumes"]  # (c,), Å³ per atom
        self.labels: NDArray[np.float32] = arrays["labels"]  # (c, properties)
        self.rows: NDArray[np.int64] = arrays["rows"]  # (c,)
        self.folds: NDArray[np.int8] = arrays["folds"]  # (c,)
        self.overlaps: NDArray[np.int8] = arrays["overlaps"]  # (c,)
        self.node_offsets: NDArray[np.int64] = arrays["node_offsets"]  # (c + 1,)
        self.edge_offsets: NDArray[np.int64] = arrays["edge_offsets"]  # (c + 1,)
        self._arrays = arrays

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file into memory. Raises DataCorruptError when it is not what was written."""
        header, arrays = _mapped(path)
        try:
            ids = json.loads(bytes(arrays["ids"]).decode())
            origin = Origin(
                **{
                    **header["origin"],
                    "left_out": tuple((int(row), str(why)) for row, why in header["origin"]["left_out"]),
                    "options": GraphOptions(**header["origin"]["options"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataCorruptError(f"{path} says of itself what cannot be read: {error}") from error
        _check(path, arrays, ids)
        return cls(path, origin, arrays, ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def edge_counts(self) -> NDArray[np.int64]:
        """Edges of each crystal, (c,)."""
        return np.diff(self.edge_offsets)

    def label(self, name: Property) -> NDArray[np.float32]:
        """One property of every crystal, (c,), NaN where it is not known."""
        return self.labels[:, list(Property).index(name)]

    def graph(self, index: int) -> CrystalGraph:
        """One crystal's graph; its arrays are views of the file."""
        nodes = slice(self.node_offsets[index], self.node_offsets[index + 1])
        edges = slice(self.edge_offsets[index], self.edge_offsets[index + 1])
        arrays = self._arrays
        return CrystalGraph(
            elements=arrays["elements"][nodes],
            multiplicities=arrays["multiplicities"][nodes],
            targets=arrays["targets"][edges],
            sources=arrays["sources"][edges],
            counts=arrays["counts"][edges],
            distances_angstrom=arrays["distances"][edges],
            angles=arrays["angles"][edges],
            space_group=int(self.space_groups[index]),
            volume_per_atom_cubic_angstrom=float(self.volumes[index]),
        )


@dataclass(eq=False)
class GraphRows:
    """Graphs with what the table says of them, to be written."""

    graphs: Sequence[CrystalGraph]
    ids: Sequence[str]
    labels: NDArray[np.float32]  # (c, properties)
    rows: Sequence[int]
    folds: Sequence[int]
    overlaps: Sequence[int]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a file."""
        graphs = self.graphs
        found: dict[str, NDArray[Any]] = {
            "node_offsets": np.cumsum([0, *(len(graph.elements) for graph in graphs)]),
            "edge_offsets": np.cumsum([0, *(len(graph.targets) for graph in graphs)]),
            "space_groups": np.array([graph.space_group for graph in graphs]),
            "volumes": np.array([graph.volume_per_atom_cubic_angstrom for graph in graphs]),
            "labels": self.labels,
            "rows": np.array(self.rows),
            "folds": np.array(self.folds),
            "overlaps": np.array(self.overlaps),
        }
        for name, parts in (
            ("elements", [graph.elements for graph in graphs]),
            ("multiplicities", [graph.multiplicities for graph in graphs]),
            ("targets", [graph.targets for graph in graphs]),
            ("sources", [graph.sources for graph in graphs]),
            ("counts", [graph.counts for graph in graphs]),
            ("distances", [graph.distances_angstrom for graph in graphs]),
            ("angles", [graph.angles for graph in graphs]),
        ):
            found[name] = np.concatenate(parts) if parts else np.zeros(0)
        typed = {
            name: np.ascontiguousarray(found[name], dtype=dtype).reshape(-1, *shape)
            for name, (dtype, shape) in _LAYOUT.items()
        }
        return {**typed, "ids": _bytes_of(list(self.ids))}


def write_packed(path: Path, arrays: Mapping[str, NDArray[Any]], origin: Origin) -> None:
    """Put a file of graphs in place in one step; its bytes follow from the arrays and the origin."""
    from safetensors.numpy import save  # noqa: PLC0415 -- reading needs no library

    checks = {name: zlib.crc32(np.ascontiguousarray(values).data) for name, values in arrays.items()}
    said = {"format": FORMAT, "origin": asdict(origin), "crc32": checks}
    write_file(path, save(dict(arrays), metadata={_KEY: json.dumps(said, sort_keys=True)}))


def joined(parts: Sequence[PackedGraphs]) -> dict[str, NDArray[Any]]:
    """The arrays of several files one after the other."""
    result: dict[str, NDArray[Any]] = {}
    for name, (dtype, _) in _LAYOUT.items():
        pieces = [part._arrays[name] for part in parts]  # noqa: SLF001 -- of its own class
        if name.endswith("_offsets"):
            sizes = [np.diff(piece) for piece in pieces]
            result[name] = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(dtype)
        else:
            result[name] = np.concatenate(pieces)
    result["ids"] = _bytes_of([each for part in parts for each in part.ids])
    return result


def _bytes_of(ids: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(ids).encode(), dtype=np.uint8)


def _mapped(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a file says of itself, and its arrays as views of the file."""
    try:
        whole = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        begin = 8 + int.from_bytes(whole[:8].tobytes(), "little")
        header = json.loads(whole[8:begin].tobytes())
        said = json.loads(header.pop("__metadata__")[_KEY])
        if said["format"] != FORMAT:
            raise DataCorruptError(f"{path} has format {said['format']}; this version reads {FORMAT}")
        arrays = {}
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            piece = whole[begin + start : begin + stop]
            arrays[name] = piece.view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
            if zlib.crc32(piece.data) != said["crc32"][name]:
                raise DataCorruptError(f"{path} is damaged: {name} is not what was written", array=name)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataCorruptError(f"{path} is no file of graphs, or is cut off: {error}") from error
    return said, arrays


def _check(path: Path, arrays: Mapping[str, NDArray[Any]], ids: Sequence[str]) -> None:
    crystals = len(ids)
    for name, (dtype, shape) in _LAYOUT.items():
        if name not in arrays or arrays[name].dtype != dtype or arrays[name].shape[1:] != shape:
            raise DataCorruptError(f"{path} lacks {name}, or has it in another layout", array=name)
    ends = {
        "node_offsets": ("elements", "multiplicities"),
        "edge_offsets": ("targets", "sources", "counts", "distances", "angles"),
    }
    whole = all(
        len(arrays[offsets]) == crystals + 1
        and all(arrays[offsets][-1] == len(arrays[name]) for name in names)
        for offsets, names in ends.items()
    )
    per_crystal = ("space_groups", "volumes", "labels", "rows", "folds", "overlaps")
    if not whole or any(len(arrays[name]) != crystals for name in per_crystal):
        raise DataCorruptError(f"{path}: its arrays do not fit together")
