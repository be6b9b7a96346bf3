from __future__ import annotations

import random
from collections.abc import Mapping
from statistics import mean

import pytest

from crystalmesh_agent.planning.effects import Effects, Part, Prior, Yield


def prior(_: Part) -> Prior:
    return Prior(1.0, 2.0)


def yields(amounts: Mapping[tuple[str, str], float]) -> list[Yield]:
    """Of arms by the two parts that they have, each tried a hundred times."""
    return [Yield([(first,), (second,)], amount, 100.0) for (first, second), amount in amounts.items()]


def test_arms_that_were_never_tried_are_known_by_their_parts() -> None:
    """Where a is ten times as good as b with x, it is so with y."""
    effects = Effects(prior, yields({("a", "x"): 1000, ("b", "x"): 100, ("b", "y"): 300}))
    (a, b, x, y) = effects.means([("a",), ("b",), ("x",), ("y",)])
    assert b * y / (b * x) == pytest.approx(3, rel=0.15)
    assert a * y == pytest.approx(30, rel=0.15)


def test_what_is_not_tried_is_believed_as_before() -> None:
    """A part without a trial has its prior's mean."""
    effects = Effects(lambda part: Prior(7.0 if part == ("new",) else 1.0, 2.0), yields({("a", "x"): 10}))
    assert effects.means([("new",)]) == [7.0]


def test_worlds_differ_less_the_more_is_known() -> None:
    """Draws lie around the mean, and the wider apart the fewer trials there were."""
    chance = random.Random(1)  # noqa: S311 -- no secret
    effects = Effects(prior, yields({("a", "x"): 1000, ("b", "x"): 1}))
    spreads = []
    for part in [("a",), ("b",)]:
        (expected,) = effects.means([part])
        drawn = [effects.draws([part], chance)[0] / expected for _ in range(300)]
        assert 0.8 < mean(drawn) < 1.2
        spreads.append(max(drawn) - min(drawn))
    assert spreads[0] < spreads[1] / 3
