import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError
from crystalmesh_property.graphs.graph import CrystalGraph, GraphOptions, build_graph
from tests.conftest import block, iron, lone_atom, silicon, sodium_chloride
from tests.property.crystals import random_crystal

FULL = GraphOptions(reduce_by_symmetry=False)


def brute_force(crystal: Crystal, options: GraphOptions) -> list[tuple[int, int, float]]:
    """The same edges out of plain loops over images: site, site, distance."""
    reach = range(-4, 5)
    edges = []
    for first, site in enumerate(crystal.frac_coords):
        found = []
        for second, other in enumerate(crystal.frac_coords):
            for image in itertools.product(reach, reach, reach):
                distance = float(np.linalg.norm((other + image - site) @ crystal.cell))
                if 1e-6 < distance <= options.cutoff_angstrom:
                    found.append((first, second, distance))
        found.sort(key=lambda edge: edge[2])
        nearest = found[options.neighbours - 1 : options.neighbours]
        limit = nearest[0][2] + options.shell_angstrom if nearest else options.cutoff_angstrom
        edges += [edge for edge in found if edge[2] <= limit]
    return sorted(edges)


def edges_of(graph: CrystalGraph) -> list[tuple[int, int, float]]:
    return sorted(
        zip(
            *(each.tolist() for each in (graph.targets, graph.sources, graph.distances_angstrom)), strict=True
        )
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), atoms=st.integers(1, 5), neighbours=st.integers(1, 20))
def test_neighbours_are_those_of_plain_loops(seed: int, atoms: int, neighbours: int) -> None:
    """Without reduction, edges are the nearest neighbours, completed to their shell, as loops find them."""
    crystal = random_crystal(seed, atoms=atoms)
    options = GraphOptions(neighbours=neighbours, cutoff_angstrom=6.0, reduce_by_symmetry=False)
    found, wanted = edges_of(build_graph(crystal, options)), brute_force(crystal, options)
    assert len(found) == len(wanted)
    np.testing.assert_allclose(
        [edge[2] for edge in sorted(found, key=lambda e: e[2])], sorted(e[2] for e in wanted), atol=1e-5
    )
    assert sorted(edge[:2] for edge in found) == sorted(edge[:2] for edge in wanted)


def test_rock_salt_is_two_nodes_whose_shells_are_edges() -> None:
    """Six neighbours at one distance are one edge that counts six."""
    graph = build_graph(sodium_chloride(), GraphOptions(neighbours=6))
    assert graph.elements.tolist() == [11, 17]
    assert graph.multiplicities.tolist() == [1, 1]
    assert graph.targets.tolist() == [0, 1]
    assert graph.sources.tolist() == [1, 0]
    assert graph.counts.tolist() == [6, 6]
    np.testing.assert_allclose(graph.distances_angstrom, 5.69 / 2, rtol=1e-6)
    assert (graph.space_group, graph.atoms) == (225, 2)


def test_angular_terms_are_means_of_legendre_polynomials() -> None:
    """At a bond of an octahedron one neighbour stands straight, four at a right angle, one opposite."""
    graph = build_graph(sodium_chloride(), GraphOptions(neighbours=6))
    means = [0, (2 + 4 * -0.5) / 6, 0, (2 + 4 * 0.375) / 6]
    np.testing.assert_allclose(graph.angles, [means, means], atol=1e-3)


def test_a_supercell_has_the_graph_of_its_cell() -> None:
    """54 atoms of rock salt give the same nodes and edges as two, with more atoms to a node."""
    small, large = build_graph(sodium_chloride()), build_graph(block())
    assert large.multiplicities.tolist() == [27, 27]
    assert large.elements.tolist() == small.elements.tolist()
    assert large.counts.tolist() == small.counts.tolist()
    np.testing.assert_allclose(large.distances_angstrom, small.distances_angstrom, rtol=1e-5)
    np.testing.assert_allclose(large.angles, small.angles, atol=1e-3)
    assert large.volume_per_atom_cubic_angstrom == pytest.approx(small.volume_per_atom_cubic_angstrom)


@pytest.mark.parametrize(
    "crystal", [sodium_chloride(), silicon(), iron(), block(repeat=2)], ids=lambda c: c.id
)
def test_reduction_loses_no_neighbour(crystal: Crystal) -> None:
    """Edges of the reduced graph stand for as many neighbours as the full graph has edges."""
    reduced, full = build_graph(crystal), build_graph(crystal, FULL)
    stands_for = reduced.counts.astype(int) * reduced.multiplicities[reduced.targets]
    assert stands_for.sum() == len(full.targets)
    assert np.average(reduced.distances_angstrom, weights=stands_for) == pytest.approx(
        full.distances_angstrom.mean(), rel=1e-5
    )


def test_an_atom_alone_has_no_edges() -> None:
    """Nothing within the cutoff is a graph without edges, not an error."""
    graph = build_graph(lone_atom())
    assert len(graph.targets) == 0
    assert graph.angles.shape == (0, 4)
    assert graph.multiplicities.tolist() == [1]


def test_an_atom_alone_among_others_has_no_edges() -> None:
    """One isolated atom changes nothing for a pair far away from it."""
    sites = np.array([[0.0, 0, 0], [0, 0, 0.04], [0.5, 0.5, 0.5]])
    graph = build_graph(Crystal(30.0 * np.eye(3), np.array([8, 8, 18]), sites), FULL)
    assert sorted(edges_of(graph)) == [(0, 1, pytest.approx(1.2)), (1, 0, pytest.approx(1.2))]


def test_what_has_no_symmetry_to_find_is_refused() -> None:
    """Coordinates that are no numbers raise InvalidCrystalError."""
    broken = Crystal(np.eye(3) * 4, np.array([1]), np.array([[np.nan, 0, 0]]))
    with pytest.raises(InvalidCrystalError):
        build_graph(broken)
