"""The campaign benchmark: its targets can be meant, and what is no hit is not counted as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from benchmarks import campaign_verification as subject
from benchmarks.campaign_targets import QUICK, NamedTarget, impossible, targets
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh_agent.campaigns.specs import completed
from crystalmesh_client import Target
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from tests.conftest import sodium_chloride


@pytest.mark.parametrize("wanted", targets(), ids=lambda wanted: wanted.name)
def test_every_target_can_be_meant(wanted: NamedTarget) -> None:
    """The agent takes each target as it is, and it says why it is asked and how stable a hit must be."""
    spec = CampaignSpec(target=wanted.target.to_proto())
    assert completed(spec).target == spec.target
    assert wanted.comment
    assert wanted.target.energy_above_hull_ev_per_atom is not None


def test_there_are_ten_different_targets() -> None:
    """Ten, none of them twice, and the two of a quick run are among them."""
    wanted = targets()
    assert len({str(each.target.to_proto()) for each in wanted}) == len(wanted) == 10
    assert [each.name for each in targets(*QUICK)] == list(QUICK)


def test_the_impossible_can_be_asked_for() -> None:
    """Nothing fulfils it, but its parts do not exclude each other."""
    completed(CampaignSpec(target=impossible().to_proto()))


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        (Target(elements="Na,Cl"), ""),
        (Target(formula="Na2Cl2", crystal_system="cubic", space_group=None), ""),
        (Target(chemical_system="Cl-Na", space_group=225), ""),
        (Target(elements="Na", only_elements="Na-Cl-K", without_elements="Br"), ""),
        (Target(formula="NaCl2"), "it is NaCl"),
        (Target(chemical_system="K-Cl"), "its elements are Cl-Na"),
        (Target(elements="Na,K"), "it has no K"),
        (Target(elements=[19]), "it has no K"),
        (Target(elements="Na", only_elements="Br"), "it has Cl, which was not allowed"),
        (Target(without_elements=[17]), "it has Cl, which was forbidden"),
        (Target(space_group=221), "its space group is 225"),
        (Target(crystal_system="trigonal"), "it is cubic"),
    ],
)
def test_composition_and_symmetry_are_checked(target: Target, wrong: str) -> None:
    """Rock salt passes for what asks for it, and fails with a reason for what asks for something else."""
    structure = as_structure(sodium_chloride())
    found = [
        *subject.off_composition(target, structure.composition),
        *subject.off_symmetry(target, structure),
    ]
    assert found == ([wrong] if wrong else [])


@pytest.mark.parametrize(
    ("value", "is_wrong"), [(0.04, False), (-0.1, False), (0.06, True), (-0.31, True), (float("nan"), True)]
)
def test_a_hit_is_near_the_hull_on_both_sides(value: float, is_wrong: bool) -> None:  # noqa: FBT001 -- a case
    """Too far above is no hit, and neither is what lies so far below that the hull must lack something."""
    target = Target(energy_above_hull_ev_per_atom=(None, 0.05))
    found = list(subject.off_ranges(target, {"energy_above_hull_ev_per_atom": value}))
    assert bool(found) == is_wrong


def test_without_a_wish_a_hit_is_within_a_tenth_of_an_electronvolt() -> None:
    """The bound of the benchmark holds where a target asks for more or for nothing."""
    generous = Target(energy_above_hull_ev_per_atom=(None, 0.5))
    for target in (Target(elements="Na"), generous):
        assert list(subject.off_ranges(target, {"energy_above_hull_ev_per_atom": 0.12}))
        assert not list(subject.off_ranges(target, {"energy_above_hull_ev_per_atom": 0.09}))


def test_a_property_that_nobody_knows_is_no_hit() -> None:
    """A range is fulfilled only by a value."""
    target = Target(band_gap_ev=(1, 2))
    known = {"energy_above_hull_ev_per_atom": 0.0}
    assert list(subject.off_ranges(target, known)) == ["band_gap_ev is not known"]
    assert not list(subject.off_ranges(target, {**known, "band_gap_ev": 1.5}))
    assert list(subject.off_ranges(target, {**known, "band_gap_ev": 2.5})) == ["band_gap_ev is 2.5"]


def test_a_cell_s_atoms_are_those_of_its_primitive_cell() -> None:
    """A supercell has no more atoms than what it repeats."""
    unit = sodium_chloride()
    corners = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).reshape(-1, 1, 3)
    sites = ((unit.frac_coords + corners) / [1, 1, 2]).reshape(-1, 3)
    double = replace(
        unit, cell=unit.cell * [[1], [1], [2]], numbers=np.tile(unit.numbers, 2), frac_coords=sites
    )
    known = subject.geometry(as_structure(double))
    assert known["atoms_in_cell"] == 2
    assert known["density_g_per_cubic_centimeter"] == pytest.approx(2.11, abs=0.05)


def as_structure(crystal: Crystal) -> Structure:
    return to_structure(crystal)
