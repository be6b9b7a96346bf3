"""How fast encoders read, against `sentence-transformers` running the same weights in float32.

Both take the same texts in the same process, one after the other, several times, on two threads each; a ratio
is the median over the turns. Texts are those of MP-20 test: structure descriptions, which fill catalogs, and
property descriptions, which are queries. Top-1 is the structure nearest to a query, and the same where both
name the same one, or one with the very same text.

CRYSTALMESH_ENCODER names another encoder's folder than the shipped one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

from benchmarks.retrieval_quality import SHIPPED, test_pairs
from crystalmesh_retrieval.encoders.devices import intra_op_threads
from crystalmesh_retrieval.encoders.encoder import Tower, Vectors
from crystalmesh_retrieval.encoders.loading import EncoderOptions, Precision, encoder_folder, load_encoder

VARIABLE = "CRYSTALMESH_ENCODER"
THREADS = 2
LIBRARY_ROWS = 32  # a batch, the default of sentence-transformers
POOLS = (32, 1000)

Encode = Callable[[Tower, Sequence[str]], Vectors]


def run(quick: bool) -> dict[str, float]:
    """Texts a second, the ratio, and how often the nearest structure is the same; `quick` takes a sample."""
    spec = os.environ.get(VARIABLE) or SHIPPED
    pairs = test_pairs(quick)
    texts = {
        Tower.STRUCTURE: [pair.structure_text() for pair in pairs],
        Tower.PROPERTIES: [pair.property_text() for pair in pairs],
    }
    encoders = {
        "ours": ours(spec, Precision.AUTO),
        "ours, float32": ours(spec, Precision.FLOAT32),
        "sentence-transformers": library(spec),
    }
    sample = {tower: each[:: max(1, len(each) // (250 if quick else 1500))] for tower, each in texts.items()}
    seconds = {tower: measured(encoders, tower, sample[tower], 3 if quick else 7) for tower in Tower}
    speedups = {tower: ratio([seconds[tower]], "ours") for tower in Tower}
    both = ratio(list(seconds.values()), "ours")
    floats = ratio(list(seconds.values()), "ours, float32")
    print(
        f"times as fast as sentence-transformers: {both:.2f} ("
        + ", ".join(f"{tower} {found:.2f}" for tower, found in speedups.items())
        + f"); in float32 {floats:.2f}"
    )
    return {
        "encode_speedup": both,
        "encode_speedup_float32": floats,
        **{f"encode_speedup_{tower}": found for tower, found in speedups.items()},
        **{f"{tower}_texts_per_s": len(sample[tower]) / median(seconds[tower]["ours"]) for tower in Tower},
        **agreements(encoders["ours"], encoders["sentence-transformers"], texts),
    }


def ours(spec: str, precision: Precision) -> Encode:
    started = time.perf_counter()
    encoder = load_encoder(spec, EncoderOptions(device="cpu", threads=THREADS, precision=precision))
    print(f"{encoder.info.name} {encoder.info.version}: loaded in {time.perf_counter() - started:.1f} s")
    return lambda tower, texts: encoder.encode(tower, texts).vectors


def library(spec: str) -> Encode:
    """`sentence-transformers` as one would use it, its tokenizer on all cores, too."""
    started = time.perf_counter()
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 -- its import is part of its loading

    folder = encoder_folder(spec)
    models: dict[Tower, Any] = {
        tower: SentenceTransformer(str(path), device="cpu", model_kwargs={"dtype": "float32"})
        for tower, path in folder.towers.items()
    }
    print(f"sentence-transformers: loaded in {time.perf_counter() - started:.1f} s")

    def encode(tower: Tower, texts: Sequence[str]) -> Vectors:
        with intra_op_threads(THREADS), _parallel_tokenizers():
            vectors: Vectors = models[tower].encode(
                list(texts), batch_size=LIBRARY_ROWS, show_progress_bar=False
            )
        return vectors

    return encode


@contextmanager
def _parallel_tokenizers() -> Iterator[None]:
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    try:
        yield
    finally:
        os.environ["TOKENIZERS_PARALLELISM"] = before or "false"


def measured(
    encoders: Mapping[str, Encode], tower: Tower, texts: Sequence[str], turns: int
) -> dict[str, list[float]]:
    """Seconds of each encoder for the texts, in each turn."""
    for encode in encoders.values():
        encode(tower, texts[:64])
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(turns):
        for name, encode in encoders.items():
            started = time.perf_counter()
            encode(tower, texts)
            seconds[name].append(time.perf_counter() - started)
    for name, found in seconds.items():
        rates = sorted(len(texts) / each for each in found)
        print(f"{tower}: {name}: {median(rates):.0f} texts/s ({rates[0]:.0f} to {rates[-1]:.0f})")
    return seconds


def ratio(seconds: Sequence[Mapping[str, Sequence[float]]], name: str) -> float:
    """How many times as fast as the library, over all the kinds of texts together."""
    theirs = [sum(turn) for turn in zip(*(each["sentence-transformers"] for each in seconds), strict=True)]
    its = [sum(turn) for turn in zip(*(each[name] for each in seconds), strict=True)]
    return float(median(a / b for a, b in zip(theirs, its, strict=True)))


def agreements(one: Encode, other: Encode, texts: Mapping[Tower, Sequence[str]]) -> dict[str, float]:
    """Shares of queries whose nearest structure is the same, among all structures and in pools of them."""
    similarities = [
        encode(Tower.PROPERTIES, texts[Tower.PROPERTIES]) @ encode(Tower.STRUCTURE, texts[Tower.STRUCTURE]).T
        for encode in (one, other)
    ]
    names = np.unique(texts[Tower.STRUCTURE], return_inverse=True)[1]  # equal for equal texts
    count = len(names)
    shares = {"full": same_nearest(similarities, names, np.tile(np.arange(count), (count, 1)))}
    generator = np.random.default_rng(0)
    for size in POOLS:
        others = generator.integers(count, size=(count, min(size, count)))
        others[:, 0] = np.arange(count)  # the true one is in its pool
        shares[f"pool{size}"] = same_nearest(similarities, names, others)
    difference = np.abs(similarities[0] - similarities[1]).max()
    told = ", ".join(f"{pool} {share:.2%}" for pool, share in shares.items())
    print(
        f"the nearest of {count:,} structures is the same: {told}; "
        f"similarities differ by {difference:.1e} at most"
    )
    return {f"same_top1_{pool}": share for pool, share in shares.items()}


def same_nearest(similarities: Sequence[np.ndarray], names: np.ndarray, pools: np.ndarray) -> float:
    """The share of rows whose largest of the pool's columns has the same name in both."""
    nearest = []
    for each in similarities:
        among = np.take_along_axis(each, pools, axis=1).argmax(axis=1)
        nearest.append(names[np.take_along_axis(pools, among[:, None], axis=1)[:, 0]])
    return float(np.mean(nearest[0] == nearest[1]))
