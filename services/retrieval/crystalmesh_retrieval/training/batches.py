"""Which pairs stand against each other, and in which words: all of it follows from seed, epoch and batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from crystalmesh_retrieval.training.pairs import Pair
from crystalmesh_retrieval.training.queries import elements_of, query
from crystalmesh_retrieval.training.recipe import Recipe

_NAMED, _UNNAMED, _HALF_NAMED = range(3)
"""Both texts with elements, neither, and a query without them for a text with them, as catalogs have it."""
_WEIGHTS = (65, 25, 10)
_END_OF_SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
_ON_THE_WHOLE = 2  # sentences: type and symmetry, what hangs together
_SITES_KEPT = 0.4


@dataclass(frozen=True)
class Batch:
    """Texts of both towers, one and one together."""

    properties: Sequence[str]
    structures: Sequence[str]


def batch_count(recipe: Recipe, pairs: int) -> int:
    """Batches an epoch; what does not fill one waits for another epoch."""
    return max(1, pairs // recipe.batch)


def batches(recipe: Recipe, pairs: Sequence[Pair], epoch: int, start: int = 0) -> Iterator[Batch]:
    """The batches of an epoch from one on; the same from wherever it is begun."""
    groups = _batches_of_pairs(recipe, pairs, epoch)
    for number in range(start, len(groups)):
        random = Random(f"{recipe.seed}-{epoch}-{number}")  # noqa: S311 -- it is no secret
        chosen = [pairs[n] for n in groups[number][1]]
        batch = _worded(chosen, groups[number][0], random) if recipe.augment else _plain(chosen)
        if epoch < recipe.skimmed_epochs:
            batch = Batch(batch.properties, [skimmed(text, random) for text in batch.structures])
        yield batch


def skimmed(text: str, random: Random) -> str:
    """A structure text with some of its sentences on sites: half as long, which trains twice as fast."""
    sentences = _END_OF_SENTENCE.split(text)
    kept = [sentence for sentence in sentences[_ON_THE_WHOLE:] if random.random() < _SITES_KEPT]
    return " ".join([*sentences[:_ON_THE_WHOLE], *kept])


def _plain(pairs: Sequence[Pair]) -> Batch:
    return Batch([pair.property_text() for pair in pairs], [pair.structure for pair in pairs])


def _worded(pairs: Sequence[Pair], kind: int, random: Random) -> Batch:
    return Batch(
        [query(pair, random, formula=kind == _NAMED) for pair in pairs],
        [pair.structure_text(formula=kind != _UNNAMED) for pair in pairs],
    )


def _batches_of_pairs(recipe: Recipe, pairs: Sequence[Pair], epoch: int) -> list[tuple[int, list[int]]]:
    """The kind and the pairs of each batch: small groups of similar materials, thrown together at random."""
    random = Random(f"{recipe.seed}-{epoch}")  # noqa: S311 -- it is no secret
    count = batch_count(recipe, len(pairs))
    kinds = random.choices(range(3), weights=_WEIGHTS, k=count) if recipe.augment else [_NAMED] * count
    order = list(range(len(pairs)))
    random.shuffle(order)
    result = []
    for alike in (_by_elements, _by_symmetry):
        mine = [kind for kind in kinds if (kind == _NAMED) == (alike is _by_elements)]
        part, order = order[: len(mine) * recipe.batch], order[len(mine) * recipe.batch :]
        if recipe.alike > 1:
            part = _grouped(alike(pairs, part, random), recipe.alike, random)
        result += [(kind, part[n * recipe.batch : (n + 1) * recipe.batch]) for n, kind in enumerate(mine)]
    random.shuffle(result)
    return result


def _by_elements(pairs: Sequence[Pair], chosen: Sequence[int], random: Random) -> list[int]:
    """Materials of the same elements side by side; which elements count first changes from epoch to epoch."""
    symbols = sorted({symbol for n in chosen for symbol in elements_of(pairs[n].formula)})
    random.shuffle(symbols)
    rank = {symbol: place for place, symbol in enumerate(symbols)}
    return sorted(chosen, key=lambda n: sorted(rank[symbol] for symbol in elements_of(pairs[n].formula)))


def _by_symmetry(pairs: Sequence[Pair], chosen: Sequence[int], random: Random) -> list[int]:
    """Materials of one space group side by side, in random order within it."""
    return sorted(chosen, key=lambda n: (pairs[n].space_group_number, random.random()))


def _grouped(order: Sequence[int], size: int, random: Random) -> list[int]:
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    random.shuffle(groups)
    return [n for group in groups for n in group]
