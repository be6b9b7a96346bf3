from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from crystalmesh_client.equations_of_state import EquationOfState
from crystalmesh_client.hulls import HullDistance, PhaseDiagram, PhaseDiagramEntry
from crystalmesh_client.plots import plot_equations_of_state, plot_hull, plot_relaxations, save
from crystalmesh_client.references import Reference
from crystalmesh_client.results import Evaluation, Relaxation
from crystalmesh_client.trajectories import RelaxationFrame, RelaxationTrajectory, Trajectory
from tests.conftest import silicon

REFERENCE = Reference("salts", "model", "m", "MP2020", 3, is_default=True, entries_sha256="")
BINARY = PhaseDiagram(
    "Cl-Na",
    REFERENCE,
    (
        PhaseDiagramEntry("a", "Na", 0.0, 0.0),
        PhaseDiagramEntry("b", "Cl2", 0.0, 0.0),
        PhaseDiagramEntry("c", "NaCl", -2.1, 0.0),
        PhaseDiagramEntry("d", "NaCl3", -0.9, 0.15),
    ),
    ((0, 2), (1, 2)),
)
TERNARY = PhaseDiagram(
    "Cl-Na-Si",
    REFERENCE,
    (*BINARY.entries[:3], PhaseDiagramEntry("e", "Si", 0.0, 0.0), PhaseDiagramEntry("f", "SiCl4", -1.2, 0.0)),
    ((0, 2, 3), (2, 3, 4), (1, 2, 4)),
)
QUATERNARY = PhaseDiagram("Cl-K-Na-Si", REFERENCE, (), ())


def scored(formula: str, distance: float, formation: float) -> HullDistance:
    return HullDistance(
        id=f"my-{formula}",
        formula=formula,
        energy_above_hull_ev_per_atom=distance,
        formation_energy_ev_per_atom=formation,
        energy_ev_per_atom=None,
        decomposition=(),
        competing_entry_count=2,
        reference=REFERENCE,
        model="",
        self_consistent=False,
        relaxed_crystal=None,
        relaxation_converged=None,
    )


def equation_of_state(name: str, *, reliable: bool = True) -> EquationOfState:
    volumes = np.linspace(36, 44, 7)
    return EquationOfState(
        id=name,
        crystal=silicon(name),
        equilibrium_volume_cubic_angstrom=40.1 if reliable else 50.0,
        equilibrium_energy_ev=-10.8,
        bulk_modulus_gpa=90.0,
        bulk_modulus_derivative=4.3,
        residual_ev_per_atom=1e-4,
        reliable=reliable,
        unreliable_reason="" if reliable else "the minimum is outside",
        volumes_cubic_angstrom=volumes,
        energies_ev=-10.8 + 1e-3 * (volumes - 40.1) ** 2,
        model="m",
    )


def trajectory(name: str, *, steps: int = 3) -> RelaxationTrajectory:
    crystal = silicon(name)
    points = [
        Evaluation(
            id=name,
            crystal=crystal,
            energy_ev=-10.0 - step,
            energy_ev_per_atom=-5.0 - step / 2,
            forces_ev_per_angstrom=np.full((2, 3), 0.1 * (steps - step)),  # zero at the end
            stress_gpa=None,
            magnetic_moments_mu_b=None,
            model="m",
        )
        for step in range(steps + 1)
    ]
    end = Relaxation(
        id=name,
        crystal=crystal,
        converged=True,
        stop_reason="converged",
        steps=steps,
        initial=points[0],
        final=points[-1],
        max_force_ev_per_angstrom=0.0,
        max_stress_gpa=0.0,
        seconds=1.0,
    )
    return Trajectory(tuple(RelaxationFrame(name, n, crystal, point) for n, point in enumerate(points)), end)


def texts(figure: Figure) -> set[str]:
    """All words in a picture."""
    words = {text.get_text() for axes in figure.axes for text in axes.texts}
    words |= {axes.get_title() for axes in figure.axes}
    words |= {label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel())}
    legends = [*figure.legends, *(axes.legend_ for axes in figure.axes if axes.legend_ is not None)]
    return words | {text.get_text() for legend in legends for text in legend.get_texts()}


def test_a_hull_of_two_elements_names_corners_and_scored_phases() -> None:
    """Every corner and every scored phase has its name, axes have units, the reference is in the title."""
    shown = texts(plot_hull(BINARY, [scored("NaCl3", 0.15, -0.9), scored("NaCl", -0.02, -2.12)]))
    assert shown >= {"Na", "Cl₂", "NaCl", "my-NaCl3 (+150)", "my-NaCl (−20)"}
    assert "Formation energy (eV/atom)" in shown
    assert "Cl-Na, reference salts" in shown


def test_a_hull_of_three_elements_is_a_triangle() -> None:
    """Corners and scored phases have their names, and lie within the triangle."""
    figure = plot_hull(TERNARY, [scored("Na2Cl2", 0.01, -2.09)])
    assert texts(figure) >= {"Na", "Cl₂", "Si", "SiCl₄", "NaCl", "my-Na2Cl2 (+10)"}
    (axes,) = figure.axes
    for line in axes.lines:
        x, y = np.asarray(line.get_data(), dtype=float)
        assert (y > -1e-9).all()
        assert (y <= np.sqrt(3) * np.minimum(x, 1 - x) + 1e-9).all()


def test_labels_cover_neither_each_other_nor_marks() -> None:
    """With many phases close together, no two labels overlap."""
    crowd = [scored(f"Na{n}Cl{n + 1}", 0.01 * n, -2.0 + 0.01 * n) for n in range(5, 15)]
    figure = plot_hull(BINARY, crowd)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts if not text.arrow_patch]  # type: ignore[attr-defined]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


@pytest.mark.parametrize(
    ("diagram", "phases", "told"),
    [(QUATERNARY, [], "Cl-K-Na-Si has 4"), (BINARY, [scored("KCl", 0, -2)], "my-KCl holds K")],
)
def test_what_cannot_be_drawn_says_so(diagram: PhaseDiagram, phases: list[HullDistance], told: str) -> None:
    """Four elements do not fit on paper, nor does a phase of another system."""
    with pytest.raises(ValueError, match=told):
        plot_hull(diagram, phases)


def test_an_equation_of_state_shows_its_numbers() -> None:
    """Volume, modulus and derivative are in the picture; one that is not reliable says so."""
    shown = "\n".join(texts(plot_equations_of_state([equation_of_state("Si")])))
    assert "90.0 GPa" in shown
    assert "20.05 Å³/atom" in shown
    assert "not reliable" not in shown
    assert {"computed", "minimum"} <= set(shown.splitlines())
    assert "not reliable" in "\n".join(
        texts(plot_equations_of_state([equation_of_state("Si", reliable=False)]))
    )


@pytest.mark.parametrize("count", [2, 4, 5, 12])
def test_many_equations_of_state_are_panels(count: int) -> None:
    """Each crystal has a panel, and panels that are left over are empty."""
    figure = plot_equations_of_state([equation_of_state(f"Si-{n}") for n in range(count)])
    assert {f"Si-{n}" for n in range(count)} <= texts(figure)
    assert sum(axes.axison for axes in figure.axes) == count


@pytest.mark.parametrize("count", [0, 13])
def test_too_many_equations_of_state_are_refused(count: int) -> None:
    """A picture of none, or of more than can be read, is none."""
    with pytest.raises(ValueError, match="1 to 12"):
        plot_equations_of_state([equation_of_state(f"Si-{n}") for n in range(count)])


def test_relaxations_are_lines_over_steps() -> None:
    """Each crystal has a line of energy and of force; forces of zero are on the paper, too."""
    figure = plot_relaxations([trajectory("one"), trajectory("two", steps=0)], max_force_ev_per_angstrom=0.05)
    energies, forces = figure.axes
    np.testing.assert_allclose(energies.lines[0].get_ydata(), [1500, 1000, 500, 0])
    assert np.asarray(forces.lines[0].get_ydata())[-1] > 0
    assert texts(figure) >= {"one", "two", "threshold", "Step", "Largest force (eV/Å)"}


def test_very_many_relaxations_have_no_names() -> None:
    """A legend of a hundred names would cover what it explains."""
    assert "n-0" not in texts(plot_relaxations([trajectory(f"n-{n}") for n in range(100)]))
    with pytest.raises(ValueError, match="no trajectories"):
        plot_relaxations([])


@pytest.mark.parametrize(("suffix", "starts"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_are_files(tmp_path: Path, suffix: str, starts: bytes) -> None:
    """The suffix says the format, and another one is refused before a file is there."""
    figure = plot_hull(BINARY)
    save(figure, tmp_path / f"hull.{suffix}")
    assert (tmp_path / f"hull.{suffix}").read_bytes().startswith(starts)
    with pytest.raises(ValueError, match=r"\.png"):
        save(figure, tmp_path / "hull.docx")
    assert not (tmp_path / "hull.docx").exists()


def test_pyplot_knows_nothing_of_our_pictures() -> None:
    """Nothing piles up in pyplot's list of figures, and the caller's current figure stays current."""
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    plot_hull(BINARY)
    plot_relaxations([trajectory("one")])
    assert plt.get_fignums() == before
