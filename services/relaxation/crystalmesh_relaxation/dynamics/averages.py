"""Averages over a run of any length, in memory that does not grow with it."""

from __future__ import annotations

_MOST_BLOCKS = 512


class Slope:
    """The least-squares slope of what was observed."""

    def __init__(self) -> None:
        self._count = 0
        self._mean_x = self._mean_y = 0.0
        self._spread_x = self._spread_xy = 0.0  # sums of squared and of multiplied deviations

    def observe(self, x: float, y: float) -> None:
        self._count += 1
        step_x = x - self._mean_x
        self._mean_x += step_x / self._count
        self._mean_y += (y - self._mean_y) / self._count
        self._spread_x += step_x * (x - self._mean_x)
        self._spread_xy += step_x * (y - self._mean_y)

    @property
    def value(self) -> float:
        """The slope; 0 before there are two different x."""
        return self._spread_xy / self._spread_x if self._spread_x > 0 else 0.0


class LaterHalf:
    """The mean over the later half of what was observed, however much that turns out to be.

    Exact for up to 512 values; beyond, the half begins where a block of values does, at most a 256th of all
    from the middle.
    """

    def __init__(self) -> None:
        self._sums: list[float] = []  # of blocks, all of the same size but the last
        self._block_size = 1
        self._in_last = 0

    def observe(self, value: float) -> None:
        if not self._sums or self._in_last == self._block_size:
            if len(self._sums) == _MOST_BLOCKS:
                self._sums = [a + b for a, b in zip(self._sums[::2], self._sums[1::2], strict=True)]
                self._block_size *= 2
            self._sums.append(0.0)
            self._in_last = 0
        self._sums[-1] += value
        self._in_last += 1

    @property
    def mean(self) -> float:
        """The mean; 0 before there is a value."""
        if not self._sums:
            return 0.0
        first = len(self._sums) // 2
        count = (len(self._sums) - first - 1) * self._block_size + self._in_last
        return sum(self._sums[first:]) / count
