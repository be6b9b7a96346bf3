"""What came of a build, in numbers: for the README beside the catalog, and for who improves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np

from crystalmesh_retrieval.catalog.material import Material, Property
from crystalmesh_retrieval.starter.own_hull import HullComparison, amounts_of

_BELOW_EV_PER_ATOM = (0.001, 0.025, 0.05, 0.1, 0.2, 0.5)
_PROTOTYPES_NAMED = 15


@dataclass(frozen=True)
class BuildReport:
    """The way from candidates to materials."""

    candidates: int
    results: int  # of the relaxation
    dropped: Mapping[str, int]  # by reason
    materials: Sequence[Material]
    own_hull: HullComparison | None  # None: an element has no entry
    size_bytes: int

    def markdown(self) -> str:
        """A README for the folder of the catalog; the same for the same catalog."""
        return "\n".join([*self._head(), *self._drops(), *self._contents(), *self._limits()]) + "\n"

    def _head(self) -> Iterable[str]:
        yield "# The starter catalog"
        yield ""
        yield _filled(
            f"{len(self.materials):,} crystals of {len(self._elements())} elements, "
            f"{self.size_bytes / 1e6:.1f} MB. Made by `make starter`, which also wrote this file."
        )
        yield ""
        yield _filled(
            "Prototypes (AFLOW's, out of pymatgen, and some more) are decorated: the elements, well-known "
            "compounds, and what data-mined ionic substitution with SMACT's charge balance makes of them; "
            "metals by likeness in size, electronegativity and Pettifor's order. No row of a database is "
            "copied. Each is relaxed with CHGNet 0.3.0 by the mesh (L-BFGS, 0.05 eV/Å, 0.2 GPa) and scored "
            "by its stability service."
        )
        yield ""

    def _drops(self) -> Iterable[str]:
        yield f"Of {self.candidates:,} candidates {self.results:,} were relaxed. Left out:"
        yield ""
        yield "| reason | crystals |"
        yield "|---|---:|"
        for reason, count in sorted(self.dropped.items(), key=lambda pair: (-pair[1], pair[0])):
            yield f"| {reason} | {count:,} |"
        yield ""

    def _contents(self) -> Iterable[str]:
        sizes = Counter(len(amounts_of(material)) for material in self.materials)
        yield "| elements in it | crystals |"
        yield "|---|---:|"
        yield from (f"| {size} | {count:,} |" for size, count in sorted(sizes.items()))
        yield ""
        above = np.array([m.properties[Property.ENERGY_ABOVE_HULL].value for m in self.materials])
        yield "| above the hull by less than | share |"
        yield "|---|---:|"
        yield from (f"| {limit:g} eV/atom | {(above < limit).mean():.0%} |" for limit in _BELOW_EV_PER_ATOM)
        yield ""
        yield _filled("Prototypes: " + ", ".join(f"{name} {n}" for name, n in self._prototypes()) + ", …")
        yield ""
        systems = len({material.chemical_system for material in self.materials})
        common = Counter(symbol for m in self.materials for symbol in amounts_of(m)).most_common()
        yield _filled(
            f"{systems:,} chemical systems. Elements: " + ", ".join(f"{s} {n}" for s, n in common) + "."
        )
        yield ""

    def _limits(self) -> Iterable[str]:
        yield _filled(
            "No value is of DFT or experiment. Energies and moments are a potential's (source kind "
            "`potential`). Hull distances count against the entries of `mp20-chgnet-0.3.0` and of this "
            "catalog together, so none is negative, and a phase that both lack makes them too low. "
            f"Magnetization has all moments in one direction. {self._gaps()}"
        )
        yield ""
        own = self.own_hull
        if own is None:
            yield "An element that occurs has no entry of its own, so no hull comes of this catalog alone."
            return
        yield _filled(
            f"A hull of this catalog alone ({own.elements} entries of elements) has {own.on_own_hull:,} "
            f"crystals on it, where the labels have {own.on_labelled_hull:,}. Its distances differ from "
            f"the labels by {own.mean_absolute_difference:.3f} eV/atom on average, "
            f"{own.within_25_mev:.0%} by less than 0.025, with a correlation of {own.correlation:.2f}."
        )

    def _gaps(self) -> str:
        gaps = [m.properties[Property.BAND_GAP] for m in self.materials if Property.BAND_GAP in m.properties]
        if not gaps:
            return "There are no band gaps."
        models = ", ".join(sorted({f"`{gap.source.name}` {gap.source.version}" for gap in gaps}))
        without = len(self.materials) - len(gaps)
        return (
            f"Band gaps are predicted by {models} (source kind `prediction`), each with one standard "
            f"deviation; {without:,} crystals unlike what it was trained on have none."
        )

    def _elements(self) -> set[str]:
        return {symbol for material in self.materials for symbol in amounts_of(material)}

    def _prototypes(self) -> list[tuple[str, int]]:
        names = Counter(
            material.source.method.removeprefix("prototype ").split(";")[0] for material in self.materials
        )
        return names.most_common(_PROTOTYPES_NAMED)


def _filled(text: str) -> str:
    return fill(text, 110, break_on_hyphens=False)
