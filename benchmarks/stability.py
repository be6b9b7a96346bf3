"""Hull distances and bulk moduli through the mesh, against pymatgen and published DFT.

Four questions: does a distance equal pymatgen's `PhaseDiagram` on the same entries; does it equal the
published label; how well do CHGNet's energies tell stable from unstable, with the DFT hull and with the
shipped self-consistent one; and how far off are bulk moduli from equations of state.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition

from benchmarks.crystals import crystals_of
from benchmarks.datasets import dataset
from benchmarks.processes import relaxation_server
from crystalmesh_client import EquationOfState, Failed, HullDistance, Mesh, Phase

FORMATION_ENERGY = "formation_energy_ev_per_atom"
LABEL = "energy_above_hull_ev_per_atom"
STABLE_EV_PER_ATOM = 0.025
SHIPPED = "mp20-chgnet-0.3.0"


def run(quick: bool) -> dict[str, float]:
    """Differences from pymatgen and from the labels, and scores per second."""
    generator = np.random.default_rng(0)
    test = labelled("mp20/test.parquet")
    hull = labelled("mp20_hull.parquet")
    sample = hull.iloc[generator.permutation(len(hull))[: 100 if quick else 1000]]
    mp2018 = labelled("mp_hull.parquet")
    if quick:
        test, mp2018 = test.sample(2000, random_state=0), mp2018.sample(2000, random_state=0)
    with (
        tempfile.TemporaryDirectory() as scratch,
        relaxation_server(*references(Path(scratch))) as address,
        Mesh(address) as mesh,
    ):
        difference = against_pymatgen(mesh, hull, sample)
        mp20 = against_labels(mesh, test, "mp20-dft", "MP2020")
        mp = against_labels(mesh, mp2018, "mp-2018", "MP2018")
        with_potential(mesh, test.sample(20 if quick else 500, random_state=0))
        moduli = bulk_moduli(mesh, 4 if quick else 100)
    return {
        "hull_max_diff_ev": difference,
        "hull_mae_mev": mp20.mae_mev,
        "mp_hull_mae_mev": mp.mae_mev,
        "scores_per_s": mp20.warm_per_s,
        **moduli,
    }


def labelled(name: str) -> pd.DataFrame:
    """A table with id, formula and energies; rows without a label are left out where there are labels."""
    table = pd.read_parquet(dataset(name))
    return table.dropna(subset=[name for name in (FORMATION_ENERGY, LABEL) if name in table])


def references(folder: Path) -> list[str]:
    """Flags that serve the two DFT hulls, each in its own scheme, beside the shipped reference."""
    paths = []
    for name, file, scheme in (
        ("mp20-dft", "mp20_hull.parquet", "MP2020"),
        ("mp-2018", "mp_hull.parquet", "MP2018"),
    ):
        description = {"name": name, "table": str(dataset(file)), "kind": "dft", "energy_scheme": scheme}
        path = folder / f"{name}.json"
        path.write_text(json.dumps(description))
        paths.append(str(path))
    return ["--references", ",".join(paths)]


def scored(
    mesh: Mesh, phases: Sequence[Phase], reference: str, scheme: str = "", *, relax: bool = False
) -> dict[str, HullDistance]:
    """Every phase's place; one that has none is told of, and left out."""
    found: dict[str, HullDistance] = {}
    for outcome in mesh.stability.score_many(
        phases, reference=reference, energy_scheme=scheme, relax_first=relax
    ):
        if isinstance(outcome, Failed):
            print(f"{outcome.id}: {outcome.error}")
        else:
            found[outcome.id] = outcome
    return found


def as_phases(table: pd.DataFrame) -> list[Phase]:
    return [
        Phase(formula, id=str(entry), formation_energy_ev_per_atom=float(energy))
        for entry, formula, energy in zip(table["id"], table["formula"], table[FORMATION_ENERGY], strict=True)
    ]


def against_pymatgen(mesh: Mesh, hull: pd.DataFrame, sample: pd.DataFrame) -> float:
    """The largest difference from `PhaseDiagram`, given the same entries."""
    ours = scored(mesh, as_phases(sample), "mp20-dft", "MP2020")
    by_system: dict[frozenset[str], list[tuple[str, Composition, float]]] = {}
    for entry, formula, energy in hull[["id", "formula", FORMATION_ENERGY]].itertuples(index=False):
        composition = Composition(formula)
        system = frozenset(map(str, composition.elements))
        by_system.setdefault(system, []).append((entry, composition, energy))
    started = time.perf_counter()
    differences = [
        abs(ours[str(entry)].energy_above_hull_ev_per_atom - by_pymatgen(by_system, str(entry), formula))
        for entry, formula in sample[["id", "formula"]].itertuples(index=False)
    ]
    rate = len(sample) / (time.perf_counter() - started)
    print(
        f"pymatgen: {len(sample)} entries, largest difference {max(differences):.1e} eV, {rate:.0f} scores/s"
    )
    return max(differences)


def by_pymatgen(
    by_system: Mapping[frozenset[str], Iterable[tuple[str, Composition, float]]], wanted: str, formula: str
) -> float:
    """The entry's distance in a diagram of its chemical system, whose elements are at zero."""
    system = frozenset(map(str, Composition(formula).elements))
    entries = [PDEntry(Composition(symbol), 0.0, symbol) for symbol in system]
    for part, rows in by_system.items():
        if part <= system:
            entries += [PDEntry(c, energy * c.num_atoms, entry) for entry, c, energy in rows]
    (entry,) = (entry for entry in entries if entry.name == wanted)
    return float(PhaseDiagram(entries).get_e_above_hull(entry) or 0.0)


@dataclass(frozen=True)
class AgainstLabels:
    """How far distances are from published ones, and how fast they came."""

    mae_mev: float
    warm_per_s: float


def against_labels(mesh: Mesh, table: pd.DataFrame, reference: str, scheme: str) -> AgainstLabels:
    """DFT energies against the DFT hull, twice: the second time every chemical system is warm."""
    phases = as_phases(table)
    rates = []
    for _ in range(2):
        started = time.perf_counter()
        found = scored(mesh, phases, reference, scheme)
        rates.append(len(phases) / (time.perf_counter() - started))
    ours = np.array([found[phase.id].energy_above_hull_ev_per_atom for phase in phases])
    errors = np.abs(ours - table[LABEL].to_numpy(dtype=float))
    print(
        f"{reference}: {len(phases)} labels, mean error {1000 * errors.mean():.2f} meV/atom, "
        f"{np.mean(errors < 0.005):.1%} within 5 meV; {rates[0]:.0f} scores/s, {rates[1]:.0f} when warm"
    )
    return AgainstLabels(1000 * float(errors.mean()), rates[1])


def with_potential(mesh: Mesh, table: pd.DataFrame) -> None:
    """CHGNet's energies of relaxed MP-20 test crystals; each one's own entry is left out of the hull."""
    labels = table[LABEL].to_numpy(dtype=float)
    phases = [
        Phase(crystal, id=crystal.id, excluded_entry_ids=(crystal.id,)) for crystal in crystals_of(table)
    ]
    for reference in ("mp20-dft", SHIPPED):
        found = scored(mesh, phases, reference, relax=True)
        kept = [n for n, phase in enumerate(phases) if phase.id in found]
        ours = np.array([found[phases[n].id].energy_above_hull_ev_per_atom for n in kept])
        # A label is at least 0, because its hull holds the crystal itself; ours does not.
        error = np.abs(np.maximum(ours, 0) - labels[kept]).mean()
        print(f"CHGNet against {reference}: {len(kept)} crystals, MAE {1000 * error:.1f} meV/atom")
        for limit in (0.0, STABLE_EV_PER_ATOM, 0.1):
            print(f"  {classified(ours <= limit, labels[kept] <= limit)} (stable: at most {limit} eV/atom)")


def classified(ours: np.ndarray, truth: np.ndarray) -> str:
    hits = int((ours & truth).sum())
    precision, recall = hits / max(1, int(ours.sum())), hits / max(1, int(truth.sum()))
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    return f"precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}, {truth.mean():.0%} stable"


def bulk_moduli(mesh: Mesh, count: int) -> dict[str, float]:
    """Bulk moduli by equation of state against those of DFT; what is not reliable is told of, not scored."""
    table = labelled("mp_elastic.parquet")
    table = table[table["numbers"].map(len) <= 20].sample(count, random_state=0)
    truth = dict(zip(table["id"], table["bulk_modulus_gpa"].astype(float), strict=True))
    errors: dict[str, float] = {}
    started = time.perf_counter()
    for outcome in mesh.stability.fit_equation_of_state_many(crystals_of(table)):
        problem = _problem(outcome)
        if problem or isinstance(outcome, Failed):
            print(f"{outcome.id}: no bulk modulus: {problem}")
        else:
            errors[outcome.id] = outcome.bulk_modulus_gpa - truth[outcome.id]
    seconds = time.perf_counter() - started
    for name in sorted(errors, key=lambda name: -abs(errors[name]))[:5]:
        print(f"{name}: {truth[name] + errors[name]:.0f} GPa, DFT {truth[name]:.0f} GPa")
    sizes = np.abs(list(errors.values()))
    mean = float(np.mean([truth[name] for name in errors]))
    print(
        f"bulk moduli: {len(errors)} of {count}, MAE {sizes.mean():.1f} GPa, "
        f"median {np.median(sizes):.1f} GPa, mean modulus {mean:.0f} GPa, {count / seconds:.2f} crystals/s"
    )
    return {"bulk_modulus_mae_gpa": float(sizes.mean()), "bulk_modulus_failed": 1 - len(errors) / count}


def _problem(outcome: EquationOfState | Failed) -> str:
    if isinstance(outcome, Failed):
        return str(outcome.error)
    return "" if outcome.reliable else outcome.unreliable_reason
