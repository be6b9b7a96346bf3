"""Mining which elements replace each other, and how large they are: the table for ionic substitution.

`python -m crystalmesh_generation.pairs.substitutions --pairs FOLDER --into FILE` writes the one that is
shipped, from the pairs of MP-20 train.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from crystalmesh_client.cli import exits
from crystalmesh_common.crystal.composition import composition_of
from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER
from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_generation.pairs.alignment import AlignableCrystal, align_prepared
from crystalmesh_generation.pairs.pair_table import Pair, read_pairs
from crystalmesh_generation.pairs.pairing import CRYSTALS_FILE, PAIRS_FILE
from crystalmesh_generation.pairs.standard_table import StandardCrystal, read_standard
from crystalmesh_generation.pairs.volumes import fitted_volumes, volumes_foretold
from crystalmesh_generation.substitution.table import SubstitutionTable

_SIZE = MAX_ATOMIC_NUMBER + 1
_RANDOM_SHARE = 0.1
"""What part of the counts random pairs make up, which differ in any number of elements."""
_PARTNERS = 3
_LARGEST_CLASS = 300
"""A structure type weighs no more than this many crystals, however many it has."""


def mined_substitutions(
    crystals: Sequence[StandardCrystal], pairs: Sequence[Pair], *, made_from: str, seed: int = 0
) -> SubstitutionTable:
    """The table of a collection of crystals and their pairs. Takes a minute for 24,000 crystals."""
    single = single_exchanges(crystals)
    random = random_exchanges(crystals, seed)
    scale = _RANDOM_SHARE / (1 - _RANDOM_SHARE) * single.sum() / random.sum() if random.sum() else 0.0
    counts = np.asarray(np.round(single + scale * random, 3), dtype=np.float64)
    volumes = fitted_volumes(crystals, pairs)
    digest = hashlib.sha256(counts.tobytes() + np.round(volumes, 2).tobytes()).hexdigest()[:12]
    return SubstitutionTable(f"1-{digest}", made_from, counts, volumes)


def single_exchanges(crystals: Iterable[StandardCrystal]) -> FloatArray:
    """Counts (119, 119) over pairs of one prototype that differ in one element alone.

    Of n elements that are found in one place each weighs 1, shared among the other n - 1, so that large
    families like those of the rare earths do not outvote all others.
    """
    families: dict[tuple[object, ...], set[int]] = defaultdict(set)
    for each in crystals:
        composition = composition_of(each.crystal)
        for place, (element, count) in enumerate(composition):
            others = composition[:place] + composition[place + 1 :]
            families[each.prototype, count, others].add(element)
    counts = np.zeros((_SIZE, _SIZE))
    for family in families.values():
        for first, second in combinations(sorted(family), 2):
            counts[first, second] += 1 / (len(family) - 1)
    return counts + counts.T


def random_exchanges(crystals: Sequence[StandardCrystal], seed: int) -> FloatArray:
    """Counts (119, 119) over random pairs of each prototype, roles found by alignment.

    No preference for alike elements enters, but where the structure itself leaves open who plays which role.
    """
    counts = np.zeros((_SIZE, _SIZE))
    prepared: dict[int, AlignableCrystal] = {}
    for weight, first, second in _random_pairs(crystals, np.random.default_rng(seed)):
        for position in (first, second):
            if position not in prepared:
                prepared[position] = AlignableCrystal(crystals[position].crystal)
        found = align_prepared(prepared[first], prepared[second])
        for before, after in found.elements.items() if found else ():
            if before != after:
                counts[before, after] += weight / len(prepared[first].elements)
    return counts + counts.T


def _random_pairs(
    crystals: Sequence[StandardCrystal], random: np.random.Generator
) -> Iterator[tuple[float, int, int]]:
    classes: dict[str, list[int]] = defaultdict(list)
    for position, each in enumerate(crystals):
        classes[each.prototype].append(position)
    for members in classes.values():
        partners = random.choice(members, (len(members), _PARTNERS))
        pairs = {
            (min(first, int(second)), max(first, int(second)))
            for first, row in zip(members, partners, strict=True)
            for second in row
            if first != second
        }
        for first, second in sorted(pairs):
            yield min(len(members), _LARGEST_CLASS) / len(pairs), first, second


def mine(
    pairs: Annotated[Path, typer.Option(help="Folder of pairs of one table with itself.")],
    into: Annotated[Path, typer.Option(help="The JSON file to write.")],
    *,
    unseen: Annotated[
        Path | None, typer.Option(help="Folder of pairs of other targets, to judge the volumes on.")
    ] = None,
    made_from: Annotated[str, typer.Option(help="What is said of where the crystals come from.")] = (
        "MP-20 train (Materials Project, CC BY 4.0)"
    ),
) -> None:
    """Write the table of substitutions that follows from pairs of known crystals."""
    try:
        crystals = read_standard(pairs / CRYSTALS_FILE).crystals
        table = mined_substitutions(crystals, read_pairs(pairs / PAIRS_FILE).pairs, made_from=made_from)
        table.write(into)
        typer.echo(f"{len(crystals)} crystals, {np.count_nonzero(table.counts) // 2} pairs of elements seen")
        if unseen is not None:
            references = read_standard(unseen / CRYSTALS_FILE).crystals
            told = volumes_foretold(table.volumes, references, read_pairs(unseen / PAIRS_FILE).pairs)
            typer.echo(
                f"growth of the cell in {told.pairs} unseen pairs: median error of its logarithm "
                f"{told.median_error:.3f}, without a table {told.median_growth:.3f}"
            )
    except CrystalMeshError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(exits.exit_code(error)) from None


if __name__ == "__main__":
    typer.run(mine)
