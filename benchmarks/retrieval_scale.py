"""Search among one and three million vectors: recall, latency, memory, build times, and bare FAISS beside it.

The vectors are grown from real ones, MP-20 test structures as the encoder reads them: each is a real one
moved towards or away from four of its ten nearest by about half the way. They lie a little sparser than as
many real ones would, by how the distance to the tenth neighbour falls with their number: they are no easier.
Queries are held out: structures, and property texts read by the other tower, which lie elsewhere and are
harder. Building and searching are processes of their own, so that their peaks of memory are theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq

from benchmarks.datasets import dataset
from benchmarks.retrieval_quality import SHIPPED
from crystalmesh_retrieval.catalog.filters import EVERYTHING, Mask, MaterialFilter
from crystalmesh_retrieval.catalog.snapshot import Snapshot
from crystalmesh_retrieval.catalog_index.blocks import VectorBlock, keys_of, write_block
from crystalmesh_retrieval.catalog_index.folder import IndexFolder, OpenedIndex
from crystalmesh_retrieval.catalog_index.indexed import IndexedSnapshot
from crystalmesh_retrieval.catalog_index.manifest import AnnEntry, BlockEntry, new_manifest
from crystalmesh_retrieval.encoders.encoder import EncoderInfo, Tower, Vectors
from crystalmesh_retrieval.encoders.loading import EncoderOptions, load_encoder
from crystalmesh_retrieval.training.pairs import read_pairs
from crystalmesh_retrieval.vectors.building import build_ann
from crystalmesh_retrieval.vectors.index import search_parameters
from crystalmesh_retrieval.vectors.kinds import IndexKind, choose_kind
from crystalmesh_retrieval.vectors.library import faiss
from crystalmesh_retrieval.vectors.stored import BLOCK_ROWS, Halves, StoredVectors

BUILD = Path(__file__).resolve().parent.parent / "build"
CORES = 2
HELD_OUT = 1000
LIMIT = 10
BATCH = 32
_NEAREST, _MIXED = 10, 4
_SPREAD = 0.5
_SHARES = {"10 %": 0.1, "3 %": 0.03, "0.1 %": 0.001}


def run(quick: bool) -> dict[str, float]:
    """Recall, p99 and the rest; in a quick run a hundred thousand vectors stand in for the million."""
    sizes = {"1m": 100_000} if quick else {"1m": 1_000_000, "3m": 3_000_000}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=BUILD if BUILD.exists() else None) as scratch:
        folder = Path(scratch)
        real = real_vectors(quick)
        for name, rows in sizes.items():
            if quick:
                print(f"quick: {rows:,} vectors stand in for a million")
            place = folder / name
            place.mkdir()
            corpus = grown(place, real, rows)
            kinds = [choose_kind(rows, real.dimensions)]
            if name == "1m" and not quick:
                kinds.append(IndexKind.HNSW)
            for kind in kinds:
                measured = {
                    **in_child("build", place, corpus, kind),
                    **in_child("search", place, corpus, kind),
                }
                tell(rows, kind, measured)
                if kind is kinds[0]:
                    figures |= {f"{key}_{name}": value for key, value in measured.items()}
    return figures


@dataclass(frozen=True, eq=False)
class Real:
    """Vectors of MP-20 test, of length 1."""

    rows: Vectors  # what a corpus is grown from
    structures: Vectors  # held out, as queries
    properties: Vectors  # of the same materials, as the other tower reads them

    @property
    def dimensions(self) -> int:
        return int(self.rows.shape[1])


def real_vectors(quick: bool) -> Real:
    """The structures and properties of MP-20 test as the shipped encoder reads them."""
    encoder = load_encoder(SHIPPED, EncoderOptions(threads=CORES))
    table = dataset("mp20/test.parquet")
    held_out = HELD_OUT // 5 if quick else HELD_OUT
    with tempfile.TemporaryDirectory() as scratch:
        cache = BUILD / "retrieval-texts"
        if quick and not any(cache.glob("test-*.parquet")):
            few = pq.read_table(table).slice(0, 1000)
            table, cache = Path(scratch) / "few.parquet", Path(scratch)
            pq.write_table(few, table)
        pairs = read_pairs(table, cache, processes=CORES)[: 1500 if quick else None]
    print(f"vectors: {encoder.info.name} {encoder.info.version}, {len(pairs):,} structures of MP-20 test")
    structures = encoder.encode(Tower.STRUCTURE, [pair.structure_text() for pair in pairs]).vectors
    asked = [pair.property_text() for pair in pairs[-held_out:]]
    properties = encoder.encode(Tower.PROPERTIES, asked).vectors
    return Real(structures[:-held_out], structures[-held_out:], properties)


@dataclass(frozen=True)
class Corpus:
    """Grown vectors on the disk, with the true answers to the queries."""

    block: dict[str, Any]  # a BlockEntry
    dimensions: int

    @property
    def entry(self) -> BlockEntry:
        return BlockEntry(**self.block)


def grown(folder: Path, real: Real, count: int) -> Corpus:
    """So many vectors around the real ones, and the ten nearest of each query, found one by one."""
    faiss.omp_set_num_threads(CORES)
    started = time.perf_counter()
    _, near = faiss.knn(real.rows, real.rows, _NEAREST + 1, faiss.METRIC_INNER_PRODUCT)
    entry = write_block(folder, keys_of(hashes(count)), around(real.rows, near[:, 1:], count))
    block = VectorBlock(folder, entry, real.dimensions)
    queries = np.concatenate([real.structures, real.properties])
    tenth = block.vectors.nearest(queries, LIMIT).similarities[:, -1]
    np.savez(folder / "queries.npz", queries=queries, tenth=tenth, structures=len(real.structures))
    seconds = time.perf_counter() - started
    there = float(np.median(tenth[: len(real.structures)]))
    print(f"{count:,} vectors of {real.dimensions} in {seconds:.0f} s. Similarity of a tenth nearest:")
    print(f"{there:.4f}; among {len(real.rows):,} real ones {tenth_among(real, len(real.rows)):.4f},")
    print(f"and by how that grows with their number, {extrapolated(real, count):.4f} at this size")
    return Corpus(entry.model_dump(), real.dimensions)


def tenth_among(real: Real, count: int) -> float:
    """The similarity of a held-out structure's tenth neighbour among so many real ones, in the median."""
    chosen = np.random.default_rng(0).permutation(len(real.rows))[:count]
    among = StoredVectors(real.rows[chosen].astype(np.float16))
    return float(np.median(among.nearest(real.structures, LIMIT).similarities[:, -1]))


def extrapolated(real: Real, count: int) -> float:
    """The same among more than there are: the distance falls with a power of the number."""
    size = len(real.rows)
    all_of_them, quarter = 1 - tenth_among(real, size), 1 - tenth_among(real, size // 4)
    power = np.log(quarter / all_of_them) / np.log(4)
    return float(1 - all_of_them * (size / count) ** power)


def around(rows: Vectors, near: np.ndarray, count: int) -> Iterator[Halves]:
    """Vectors near the real ones, in the plane of their neighbours."""
    generator = np.random.default_rng(0)
    for start in range(0, count, BLOCK_ROWS // 4):
        size = min(BLOCK_ROWS // 4, count - start)
        chosen = generator.integers(0, len(rows), size)
        columns = generator.integers(0, _NEAREST, (size, _MIXED))
        weights = _SPREAD * generator.standard_normal((size, _MIXED), dtype=np.float32)
        mixed = rows[chosen] * (1 - weights.sum(axis=1, keepdims=True))
        for number in range(_MIXED):
            mixed += weights[:, number : number + 1] * rows[near[chosen, columns[:, number]]]
        yield (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float16)


def hashes(count: int) -> np.ndarray:
    """Content hashes of made-up materials, (count,)."""
    return np.frombuffer(np.random.default_rng(1).bytes(32 * count), dtype="V32")


def in_child(stage: str, folder: Path, corpus: Corpus, kind: IndexKind) -> dict[str, float]:
    """What a stage has measured, in a process of its own with two threads."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.retrieval_scale",
        stage,
        str(folder),
        json.dumps(asdict(corpus)),
        kind,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(CORES), "OPENBLAS_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root, env=environment)
    *lines, last = done.stdout.splitlines()
    print("\n".join(lines))
    measured: dict[str, float] = json.loads(last)
    return measured


def build(folder: Path, corpus: Corpus, kind: IndexKind) -> dict[str, float]:
    """Build an index over the vectors as `crystalmesh catalog index` does."""
    block = VectorBlock(folder, corpus.entry, corpus.dimensions)
    asked = np.load(folder / "queries.npz")
    # Queries that it is tuned on are not those that it is measured on.
    tuned_on = asked["queries"][int(asked["structures"]) :][1::2]
    started = time.perf_counter()
    marks: list[tuple[float, str]] = []

    def progress(doing: str, done: int, _total: int) -> None:
        if not done or doing.startswith("tuning"):
            marks.append((time.perf_counter() - started, doing))

    ann, tuning = build_ann(block.vectors, kind, tuned_on, threads=CORES, progress=progress)
    seconds = time.perf_counter() - started
    faiss.write_index(ann, str(folder / f"{kind}.faiss"))
    (folder / f"{kind}.json").write_text(json.dumps(asdict(tuning)))
    steps = ", ".join(f"{doing} from {second:.0f} s" for second, doing in marks[:-1])
    print(f"{kind}: {steps}; nprobe or efSearch {tuning.effort}, recall when built {tuning.recall_at_10}")
    return {
        "build_s": seconds,
        "build_gb": peak_gb(),
        "file_gb": (folder / f"{kind}.faiss").stat().st_size / 1e9,
    }


def search(folder: Path, corpus: Corpus, kind: IndexKind) -> dict[str, float]:
    """Open the index and search it one by one, in batches, and with filters, beside bare FAISS."""
    started = time.perf_counter()
    indexed, ann, effort = opened(folder, corpus, kind)
    opening = time.perf_counter() - started
    asked = np.load(folder / "queries.npz")
    queries, tenth, structures = asked["queries"], asked["tenth"], int(asked["structures"])
    held = np.arange(len(queries)) % 2 == 0
    of_structures, of_properties = (
        held & (np.arange(len(queries)) < structures),
        held & (np.arange(len(queries)) >= structures),
    )
    indexed.search(queries[1::2], LIMIT)  # pages come in
    times, found = one_by_one(indexed, queries)
    recalls = np.mean(found >= tenth[:, None] - 2e-6, axis=1)
    measured = {
        "recall10": float(min(recalls[of_structures].mean(), recalls[of_properties].mean())),
        "recall10_structures": float(recalls[of_structures].mean()),
        "recall10_properties": float(recalls[of_properties].mean()),
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
        **in_batches(indexed, ann, effort, queries),
        "open_s": opening,
    }
    for name, share in _SHARES.items():
        wanted = cast("MaterialFilter", SimpleNamespace(share=share))
        filtered, answers = one_by_one(indexed, queries[:200], wanted)
        print(
            f"{kind}: {name} pass a filter: p50 {np.percentile(filtered, 50):.2f} ms, "
            f"p99 {np.percentile(filtered, 99):.2f} ms, all full: {np.isfinite(answers).all()}"
        )
    return measured | {"resident_gb": peak_gb()}


def one_by_one(
    indexed: IndexedSnapshot, queries: Vectors, material_filter: MaterialFilter = EVERYTHING
) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of each query, and the similarities that it found, (queries, LIMIT)."""
    times, found = [], np.full((len(queries), LIMIT), -np.inf)
    for number in range(len(queries)):
        started = time.perf_counter()
        (hits,) = indexed.search(queries[number : number + 1], LIMIT, material_filter)
        times.append(1000 * (time.perf_counter() - started))
        found[number, : len(hits)] = [hit.similarity for hit in hits]
    return np.array(times), found


def in_batches(indexed: IndexedSnapshot, ann: Any, effort: int, queries: Vectors) -> dict[str, float]:
    """Queries per second in batches of 32, and the ratio to bare FAISS with the same index, turn by turn."""
    faiss.omp_set_num_threads(CORES)
    parameters = search_parameters(ann, effort, LIMIT)
    batches = [queries[start : start + BATCH] for start in range(0, len(queries) - BATCH, BATCH)]
    ours, bare = [], []
    for _ in range(9):
        started = time.perf_counter()
        for batch in batches:
            indexed.search(batch, LIMIT)
        middle = time.perf_counter()
        for batch in batches:
            ann.search(batch, LIMIT, params=parameters)
        ours.append(middle - started)
        bare.append(time.perf_counter() - middle)
    asked = BATCH * len(batches)
    return {
        "qps": asked / float(np.median(ours)),
        "bare_qps": asked / float(np.median(bare)),
        "qps_ratio": float(np.median(np.array(bare) / np.array(ours))),
    }


def opened(folder: Path, corpus: Corpus, kind: IndexKind) -> tuple[IndexedSnapshot, Any, int]:
    """The vectors as those of a catalog, its index, and what it is searched with."""
    tuning = json.loads((folder / f"{kind}.json").read_text())
    block = VectorBlock(folder, corpus.entry, corpus.dimensions)
    ann = faiss.read_index(str(folder / f"{kind}.faiss"), faiss.IO_FLAG_MMAP_IFC)
    encoder = EncoderInfo("grown", "0" * 12, corpus.dimensions, 1, "crystalmesh")
    named = {
        "file": f"{'0' * 24}.faiss",
        "bytes": 1,
        "sha256": "0" * 64,
        "over": corpus.entry.file,
        "build_seconds": 0,
    }
    manifest = new_manifest(encoder).changed(blocks=(corpus.entry,), ann=AnnEntry(**named, **tuning))
    snapshot = cast("Snapshot", Rows(len(block)))
    index = IndexFolder(folder, encoder)
    return (
        IndexedSnapshot(snapshot, index, OpenedIndex(manifest, [block], ann), threads=CORES),
        ann,
        tuning["effort"],
    )


class Rows:
    """As much of a snapshot as a search asks for, in segments as a catalog has them; a filter is a share."""

    def __init__(self, count: int) -> None:
        content = hashes(count)
        self.segments = [
            SimpleNamespace(row_count=len(part), content_hashes=part, entry=SimpleNamespace(file=str(number)))
            for number, part in enumerate(np.split(content, range(BLOCK_ROWS, count, BLOCK_ROWS)))
        ]

    def masks(self, material_filter: Any = EVERYTHING) -> list[Mask]:
        share = getattr(material_filter, "share", 1.0)
        generator = np.random.default_rng(2)
        return [generator.random(segment.row_count) < share for segment in self.segments]


def peak_gb() -> float:
    """The most memory that this process has had, mapped files among it; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    # What getrusage tells is at least what the parent had when it started us.
    return next((int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM")), 0.0)


def tell(rows: int, kind: IndexKind, measured: dict[str, float]) -> None:
    print(
        f"{rows:,} {kind}: " + ", ".join(f"{name} {value:.4g}" for name, value in measured.items()),
        flush=True,
    )


def main(arguments: Sequence[str]) -> int:
    stage, folder, corpus, kind = arguments
    of_stage = {"build": build, "search": search}[stage]
    print(json.dumps(of_stage(Path(folder), Corpus(**json.loads(corpus)), IndexKind(kind))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
