"""The texts that the materials of a catalog are found by."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.catalog.filters import Mask
from crystalmesh_retrieval.catalog.material import Material
from crystalmesh_retrieval.catalog.rows import materials_of
from crystalmesh_retrieval.catalog.segment import Segment
from crystalmesh_retrieval.catalog_index.blocks import Keys, keys_of
from crystalmesh_retrieval.descriptions.describers import DEFAULT_DESCRIBER, Describer, describer
from crystalmesh_retrieval.encoders.encoder import EncoderInfo

Describe = Callable[[Sequence[Crystal]], list[str]]
"""The texts of crystals, in their order; "" where there are no words."""

_Arrays = tuple[FloatArray, IntArray, FloatArray]  # cell, numbers and fractional coordinates

_ROBOCRYS = "robocrys"
_AT_ONCE = 32  # crystals that are sent to another process together, some 0.3 s of work


@dataclass(frozen=True, eq=False)
class Texts:
    """Some materials: what they are called in a block, and what the structure tower reads of them."""

    keys: Keys  # (n,)
    texts: Sequence[str]  # n of them; "" where the describer has no words


@contextmanager
def describing(encoder: EncoderInfo, processes: int = 1) -> Iterator[Describe]:
    """Describe in the words that an encoder has learnt to read: RoboCrystallographer's, or else ours.

    With several processes these are started when there is something to describe.
    """
    name = _ROBOCRYS if encoder.describer == _ROBOCRYS else DEFAULT_DESCRIBER
    if processes <= 1:
        yield partial(_described, name)
        return
    # Forked children would inherit threads of the encoder.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:

        def describe(crystals: Sequence[Crystal]) -> list[str]:
            arrays = [(crystal.cell, crystal.numbers, crystal.frac_coords) for crystal in crystals]
            parts = [arrays[start : start + _AT_ONCE] for start in range(0, len(arrays), _AT_ONCE)]
            return [text for part in pool.map(partial(_described_arrays, name), parts) for text in part]

        yield describe


def texts_of(segment: Segment, wanted: Mask, describe: Describe) -> Iterator[Texts]:
    """The texts of the wanted rows, in order, up to a thousand at a time.

    A material that was brought without a text is described.
    """
    keys = keys_of(segment.content_hashes[wanted])
    start = 0
    for table in segment.tables(wanted):
        materials = list(materials_of(table))
        described = iter(describe([material.crystal for material in materials if not _brought(material)]))
        texts = [_brought(material) or next(described) for material in materials]
        yield Texts(keys[start : start + len(texts)], texts)
        start += len(texts)


def _brought(material: Material) -> str:
    return material.structure_description.strip()


def _described(name: str, crystals: Sequence[Crystal]) -> list[str]:
    words = describer(name)
    return [_text(words, crystal) for crystal in crystals]


def _described_arrays(name: str, crystals: Sequence[_Arrays]) -> list[str]:
    return _described(name, [Crystal(*arrays) for arrays in crystals])


def _text(words: Describer, crystal: Crystal) -> str:
    try:
        return words.describe(crystal)
    except CrystalMeshError:
        return ""
