"""A small table of elements that tests know by heart."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ((3, 11, 19, 37, 55), (9, 17, 35, 53), (8, 16, 34), (12, 20, 38, 56), (22, 40), (26, 27, 28))


@dataclass(frozen=True)
class SmallTable:
    """Elements of one group stand for each other, nearer ones more often; all others seldom."""

    version: str = "small"
    others: float = 1e-3

    def probability(self, from_number: int, to_number: int) -> float:
        for group in GROUPS:
            if from_number in group and to_number in group:
                steps = abs(group.index(from_number) - group.index(to_number))
                return float(0.4 * 0.5**steps)
        return self.others

    def volume_of(self, number: int) -> float:
        return 10.0 + number
