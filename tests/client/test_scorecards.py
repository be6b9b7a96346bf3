from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from crystalmesh.relaxation.v1 import scorecard_pb2
from crystalmesh_client import LabelledFrame, Mesh, Scorecard, ScoreMetric
from crystalmesh_client.scorecards import score_from, score_request, verdict_of
from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.runtime.errors import InternalError, InvalidCrystalError, ModelNotFoundError
from crystalmesh_common.runtime.statuses import to_status
from tests.conftest import silicon

FORCES = np.array([[0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]])


def test_labels_come_from_us_or_from_ases_calculators() -> None:
    """Both forms make the same frame; Atoms without labels are refused by position."""
    atoms = to_atoms(silicon())
    atoms.calc = SinglePointCalculator(atoms, energy=-10.8, forces=FORCES)
    request = score_request([LabelledFrame(silicon(), -10.8, FORCES), atoms], "physical-1", 3, "m")
    ours, theirs = request.frames
    assert list(ours.forces_ev_per_angstrom) == list(theirs.forces_ev_per_angstrom)
    assert ours.energy_ev == theirs.energy_ev == -10.8
    assert (ours.crystal.id, theirs.crystal.id) == ("0", "1")
    with pytest.raises(InvalidCrystalError, match="frame 1"):
        score_request([atoms, to_atoms(silicon())], "", 0, "")


def test_a_scorecard_is_found_by_metric() -> None:
    """Metrics have names, and the verdict shows in a notebook."""
    metric = scorecard_pb2.ScoreMetric(name="energy_mae", value=0.02, threshold=0.03, passed=True)
    response = scorecard_pb2.ScorePotentialResponse(
        scorecard=scorecard_pb2.Scorecard(
            name="physical-1", model="<m>", metrics=[metric], composite_score=0.7
        )
    )
    card = verdict_of([score_from(response)])
    assert card["energy_mae"].passed
    with pytest.raises(KeyError):
        card["nothing"]
    assert "≤ 0.03" in card._repr_html_()
    assert "<m>" not in card._repr_html_()


def test_a_potential_that_cannot_be_judged_raises_why() -> None:
    """An error instead of a verdict is raised; no verdict at all is the server's fault."""
    error = to_status(ModelNotFoundError("no such model"))
    with pytest.raises(ModelNotFoundError):
        score_from(scorecard_pb2.ScorePotentialResponse(error=error))
    with pytest.raises(InternalError):
        verdict_of([ScoreMetric("m", 1, 1, higher_is_better=True, passed=True)])


def test_a_served_potential_is_judged(mesh: Mesh) -> None:
    """Judged on its own labels, the potential makes no error in energies; metrics come before the verdict."""
    frames = [mesh.relaxation.evaluate(silicon(shift=shift)).to_ase() for shift in (0.01, 0.02)]
    *metrics, verdict = mesh.relaxation.score_potential_metrics(frames)
    assert isinstance(verdict, Scorecard)
    assert [metric.name for metric in verdict.metrics] == [
        metric.name for metric in metrics if isinstance(metric, ScoreMetric)
    ]
    errors = [
        metric.value for metric in verdict.metrics if metric.name.startswith(("energy_mae", "force_mae"))
    ]
    assert errors
    assert max(errors) < 0.01
    assert verdict.model == "chgnet-0.3.0"
    assert len(verdict.definition_sha256) == 64
