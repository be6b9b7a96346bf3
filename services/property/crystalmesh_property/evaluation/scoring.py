"""How good predictions are: errors, beside those of a constant, and whether intervals hold what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crystalmesh_common.runtime.errors import DataCorruptError, InvalidFieldError
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.splits import Split
from crystalmesh_property.properties import SCALES, Property

FloatArray = NDArray[np.float64]
COVERAGE = 0.95


@dataclass(frozen=True, eq=False)
class Predictions:
    """Values with their 95% intervals for c crystals, in the units of p properties."""

    properties: tuple[Property, ...]
    ids: list[str]
    values: FloatArray  # (c, p)
    lower: FloatArray  # (c, p)
    upper: FloatArray  # (c, p)

    def save(self, path: Path) -> None:
        """Write a Parquet file: id, and for each property its name, its name_lower and its name_upper."""
        import pyarrow as pa  # noqa: PLC0415 -- scoring what is in memory needs none
        import pyarrow.parquet as pq  # noqa: PLC0415

        columns: dict[str, object] = {"id": self.ids}
        for n, name in enumerate(self.properties):
            for suffix, values in (("", self.values), ("_lower", self.lower), ("_upper", self.upper)):
                columns[f"{name}{suffix}"] = values[:, n]
        pq.write_table(pa.table(columns), path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote. Raises DataCorruptError for anything else."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            table = pq.read_table(path)
            properties = tuple(name for name in Property if str(name) in table.column_names)
            arrays = [
                np.stack([table[f"{name}{suffix}"].to_numpy() for name in properties], axis=1)
                for suffix in ("", "_lower", "_upper")
            ]
            return cls(properties, table["id"].to_pylist(), *arrays)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise DataCorruptError(f"{path} holds no predictions: {error}") from error


@dataclass(frozen=True)
class Score:
    """How one property was predicted. Errors are on its scale: log10(GPa) for moduli, else its unit."""

    property: Property
    crystals: int
    mae: float
    rmse: float
    mae_of_mean: float  # of a predictor that always says the mean of what was learnt from
    mae_of_median: float
    coverage95: float  # what part of the labels lies in the intervals
    mean_width95: float


def score(predictions: Predictions, pool: GraphPool, split: Split) -> list[Score]:
    """The scores on the test part of a split, for each property with labels there.

    Raises InvalidFieldError when a crystal of the test part has no prediction, or one that is no number:
    nothing is left out of a score.
    """
    place = {each: n for n, each in enumerate(predictions.ids)}
    missing = [pool.ids[index] for index in split.test if pool.ids[index] not in place]
    if missing:
        raise InvalidFieldError(f"{len(missing)} crystals have no prediction, the first is {missing[0]}")
    rows = np.array([place[pool.ids[index]] for index in split.test], dtype=np.int64)
    scores = []
    for n, name in enumerate(predictions.properties):
        truth = _labels(pool, split.test, name)
        known = np.isfinite(SCALES[name].inward(truth))
        if known.any():
            columns = (predictions.values, predictions.lower, predictions.upper)
            value, lower, upper = (column[rows, n][known] for column in columns)
            learnt = SCALES[name].inward(_labels(pool, split.train, name))
            scores.append(_score(name, truth[known], value, (lower, upper), learnt[np.isfinite(learnt)]))
    return scores


def _score(
    name: Property, truth: FloatArray, value: FloatArray, interval: Sequence[FloatArray], learnt: FloatArray
) -> Score:
    scale = SCALES[name]
    target, guess, low, high = (scale.inward(values) for values in (truth, value, *interval))
    errors = np.abs(guess - target)
    if not np.isfinite(errors).all():
        raise InvalidFieldError(f"a prediction of {name} is not a number that it can be")
    return Score(
        property=name,
        crystals=len(target),
        mae=float(errors.mean()),
        rmse=float(np.sqrt((errors * errors).mean())),
        mae_of_mean=_constant_error(target, learnt, np.mean),
        mae_of_median=_constant_error(target, learnt, np.median),
        coverage95=float(((low <= target) & (target <= high)).mean()),
        mean_width95=float((high - low).mean()),
    )


def _constant_error(target: FloatArray, learnt: FloatArray, of: Callable[[FloatArray], np.floating]) -> float:
    if not len(learnt):
        return float("nan")
    return float(np.abs(target - of(learnt)).mean())


def _labels(pool: GraphPool, members: NDArray[np.int64], name: Property) -> FloatArray:
    labels: FloatArray = pool.labels[members, list(Property).index(name)].astype(np.float64)
    return labels


def conformal_factor(errors: FloatArray, scales: FloatArray, *, coverage: float = COVERAGE) -> float:
    """By what scales have to be multiplied so that intervals hold the asked part of fresh labels.

    Split conformal prediction: the quantile of error over scale with the finite-sample correction. It
    holds on average for crystals drawn like those it is made from, which nothing was learnt from.
    """
    ratios = np.sort(errors / scales)
    if not len(ratios):
        return float("nan")
    place = min(len(ratios), int(np.ceil((len(ratios) + 1) * coverage)))
    return float(ratios[place - 1])
