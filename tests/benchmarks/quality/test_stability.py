from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality import relaxed as subject
from benchmarks.quality.conditions import Conditions, kept, satisfaction
from benchmarks.quality.ledger import Ledger
from benchmarks.quality.novelty import KnownCrystals
from benchmarks.quality.relaxed import OPTIONS, Relaxed, relaxed_of
from benchmarks.quality.stability import DFT_HULL, HullPlace, hulls, place, stability_rates
from benchmarks.quality.sun import sun_rates
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_relaxation.stability.reference import Reference
from tests.conftest import iron, lone_atom, silicon, sodium_chloride


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> list[Reference]:
    """A hull of sodium, chlorine and their salt, and the shipped one."""
    table = tmp_path_factory.mktemp("hull") / "hull.parquet"
    rows = {"id": ["salt"], "formula": ["Na4Cl4"], "formation_energy_ev_per_atom": [-2.1]}
    pd.DataFrame(rows).to_parquet(table)
    return list(hulls(table))


def at(distance: float | None) -> HullPlace:
    return HullPlace(distance, converged=True)


def test_a_crystal_is_relaxed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A displaced atom goes back, what is no sane crystal says why, and all is kept with its CPU time."""
    close = replace(silicon(), frac_coords=np.array([[0, 0, 0], [0.02, 0.02, 0.02]]))
    crystals = [silicon(shift=0.03), close, lone_atom(), silicon(shift=0.03)]
    path = tmp_path / "relaxations.jsonl"
    told: list[tuple[int, int]] = []
    found, seconds = relaxed_of(
        crystals, Ledger(path), threads=2, progress=lambda *progress: told.append(progress)
    )
    assert found[0].converged
    assert found[0].crystal is not None
    assert np.diff(found[0].crystal.frac_coords, axis=0) == pytest.approx(0.25, abs=0.01)
    assert "Å" in found[1].problem or "close" in found[1].problem
    assert found[2].problem
    assert found[2].energy_ev_per_atom is None
    assert found[3].energy_ev_per_atom == found[0].energy_ev_per_atom
    assert seconds > 0
    assert told[-1] == (4, 4)
    monkeypatch.setattr(subject, "_relax", lambda *_: pytest.fail("it was relaxed again"))
    again, as_long = relaxed_of(crystals, Ledger(path))
    assert as_long == seconds
    assert [each.energy_ev_per_atom for each in again] == [each.energy_ev_per_atom for each in found]


def test_what_is_denser_than_any_solid_is_not_relaxed(tmp_path: Path) -> None:
    """It would take minutes; it is told of at once, and costs nothing."""
    dense = replace(silicon(), cell=silicon().cell * 0.4)
    (found,), seconds = relaxed_of([dense], Ledger(tmp_path / "relaxations.jsonl"))
    assert "denser" in found.problem
    assert seconds == 0


def test_other_options_are_other_relaxations(tmp_path: Path) -> None:
    """A crystal that may make one step only is relaxed anew, does not converge and still has an energy."""
    path = tmp_path / "relaxations.jsonl"
    relaxed_of([silicon(shift=0.03)], Ledger(path))
    options = replace(OPTIONS, max_steps=1)
    (short,), _ = relaxed_of([silicon(shift=0.03)], Ledger(path), options=options)
    assert not short.converged
    assert short.steps == 1
    assert short.energy_ev_per_atom is not None


def test_salt_lies_on_both_hulls(tmp_path: Path, references: list[Reference]) -> None:
    """CHGNet's rock salt is within 0.05 eV/atom of the DFT hull and of the shipped one, the first named."""
    (salt,), _ = relaxed_of([sodium_chloride()], Ledger(tmp_path / "relaxations.jsonl"))
    assert references[0].name == DFT_HULL
    for reference in references:
        found = place(salt, reference)
        assert found.ev_per_atom == pytest.approx(0, abs=0.05)
        assert found.converged


def test_what_has_no_place_says_why(references: list[Reference]) -> None:
    """No crystal, no energy, an element that the hull lacks, and energies that no material has."""
    hull = references[0]
    assert place(None, hull).problem == "no crystal"
    failed = Relaxed(None, None, converged=False, steps=0, problem="too close")
    assert place(failed, hull).problem == "too close"
    iron_alone = Relaxed(iron(), -8.3, converged=True, steps=1, problem="")
    assert "Fe" in place(iron_alone, hull).problem
    salt = Relaxed(sodium_chloride(), -9.0, converged=True, steps=1, problem="")
    astray = place(salt, hull)
    assert astray.ev_per_atom is None
    assert "implausible" in astray.problem


def test_shares_are_of_all_that_were_asked_for(references: list[Reference]) -> None:
    """On the hull is stable, 0.1 eV/atom above it is no longer metastable, and no place counts as neither."""
    places = [at(-0.1), at(0.0), at(0.05), at(0.1), HullPlace(None, converged=False, problem="no crystal")]
    rates = stability_rates(places, references[0])
    assert (rates.asked, rates.placed) == (5, 4)
    assert (rates.stable, rates.metastable, rates.metastable_of_placed) == (0.4, 0.6, 0.75)
    assert (rates.converged, rates.median_ev_per_atom) == (0.8, 0.025)


def test_sun_counts_distinct_stable_and_unknown_structures() -> None:
    """Two samples of one structure count once, also where only the second is stable; known ones never do."""

    def relaxed(crystal: Crystal) -> Relaxed:
        return Relaxed(crystal, -1.0, converged=True, steps=1, problem="")

    samples = [relaxed(iron()), relaxed(iron()), relaxed(silicon()), relaxed(sodium_chloride()), None]
    places = [at(0.3), at(0.05), at(0.0), at(-0.2), at(None)]
    stable, metastable = sun_rates(samples, places, KnownCrystals([sodium_chloride()]), reference="hull")
    assert (stable.threshold_ev_per_atom, stable.count, stable.rate) == (0.0, 1, 0.2)
    assert (metastable.threshold_ev_per_atom, metastable.count, metastable.rate) == (0.1, 2, 0.4)


def test_each_condition_has_its_share() -> None:
    """Shares are of the samples that were asked for the condition; no crystal keeps nothing."""
    salt = Conditions(formula="Cl2Na2", required_elements=frozenset({"Na"}), space_group=225)
    answers = [
        kept(salt, sodium_chloride()),
        kept(salt, None),
        kept(replace(salt, space_group=1), sodium_chloride()),
        kept(Conditions(forbidden_elements=frozenset({"Si"})), silicon()),
        kept(Conditions(hull_ev_per_atom=(0.0, 0.1)), silicon(), at(0.1)),
        kept(Conditions(hull_ev_per_atom=(0.0, 0.1)), silicon(), at(None)),
        kept(Conditions(), silicon()),
    ]
    found = satisfaction(answers)
    assert found.formula == pytest.approx(2 / 3)
    assert found.elements == 0.5
    assert found.space_group == pytest.approx(1 / 3)
    assert found.hull_distance == 0.5
    assert found.everything == pytest.approx(3 / 7)


def test_space_groups_are_those_within_a_tenth_of_an_angstrom() -> None:
    """A slightly shifted atom leaves diamond what it is, a large shift does not."""
    asked = Conditions(space_group=227)
    assert kept(asked, silicon(shift=0.005)).space_group
    assert not kept(asked, silicon(shift=0.05)).space_group


def test_a_formula_that_is_none_is_the_callers_mistake() -> None:
    """It raises, rather than being satisfied by nothing."""
    with pytest.raises(InvalidFieldError):
        kept(Conditions(formula="Qx2"), silicon())
