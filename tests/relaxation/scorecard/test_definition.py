from __future__ import annotations

from dataclasses import replace

import pytest

from crystalmesh_common.runtime.errors import ResourceNotFoundError
from crystalmesh_relaxation.scorecard.definition import PHYSICAL_1, SCORECARDS, find_scorecard

PUBLISHED = {"physical-1": "686463f63b96c2416bb4c16bcc84dadc4717ff1c6e645ee36b7fc8e4a995448b"}


def test_a_published_scorecard_never_changes() -> None:
    """Each has the hash that it was published with; a better definition gets a new name and a line here."""
    assert {name: definition.sha256 for name, definition in SCORECARDS.items()} == PUBLISHED


def test_the_hash_is_that_of_all_that_matters() -> None:
    """Another threshold, weight, protocol or wording is another definition."""
    changed = [
        replace(PHYSICAL_1, drift=replace(PHYSICAL_1.drift, threshold=3.0)),
        replace(PHYSICAL_1, drift=replace(PHYSICAL_1.drift, weight=0.3)),
        replace(PHYSICAL_1, drift=replace(PHYSICAL_1.drift, meaning="something else")),
        replace(PHYSICAL_1, drift_protocol=replace(PHYSICAL_1.drift_protocol, steps=201)),
        replace(PHYSICAL_1, worst_drift_mev_per_atom_per_ps=999.0),
    ]
    hashes = {definition.sha256 for definition in [PHYSICAL_1, *changed]}
    assert len(hashes) == len(changed) + 1


def test_a_scorecard_is_found_by_name_and_the_newest_without() -> None:
    """An unknown name is an error that lists the known ones."""
    assert find_scorecard("physical-1") is PHYSICAL_1
    assert find_scorecard("") is list(SCORECARDS.values())[-1]
    with pytest.raises(ResourceNotFoundError, match="physical-1") as raised:
        find_scorecard("physical-0")
    assert raised.value.details["resource"] == "scorecard"


def test_weights_add_up_and_scores_are_shares() -> None:
    """The weights make 1; a score falls from 1 to 0, and is a half where an error is at its threshold."""
    metrics = PHYSICAL_1.metrics
    assert sum(metric.weight for metric in metrics) == pytest.approx(1)
    for metric in metrics:
        best = 10 * metric.threshold if metric.higher_is_better else 0.0
        worst = 0.0 if metric.higher_is_better else 1e9 * metric.threshold
        assert metric.score(best) == 1
        assert metric.score(worst) == pytest.approx(0, abs=1e-6)
        assert metric.score(metric.threshold) == (1 if metric.higher_is_better else 0.5)
        assert metric.passes(metric.threshold)
        assert not metric.passes(worst)
        assert not metric.passes(float("nan"))
