from pathlib import Path

import numpy as np
import pytest

from crystalmesh_common.runtime.errors import DataCorruptError, InvalidFieldError
from crystalmesh_property.evaluation.baselines import composition_features, element_table, random_forest
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.scoring import Predictions, conformal_factor, score
from crystalmesh_property.evaluation.splits import Split
from crystalmesh_property.graphs.graph import build_graph
from crystalmesh_property.graphs.packing import pack
from crystalmesh_property.properties import Property
from tests.conftest import block, sodium_chloride
from tests.property.crystals import salts_table


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[GraphPool, Split]:
    """60 salts to learn from and 20 to judge, with gaps and some bulk moduli."""
    folder = tmp_path_factory.mktemp("judged")
    moduli = [None if n % 2 else 10.0 ** (1 + n % 3) for n in range(80)]
    table = salts_table(folder / "t.parquet", range(80), bulk_modulus_gpa=moduli)
    pool = GraphPool([pack(table, folder / "t.graphs")])
    return pool, Split("by number", np.arange(60), np.arange(0), np.arange(60, 80))


def predictions(pool: GraphPool, split: Split, *, off: float, width: float) -> Predictions:
    """Predictions that are `off` too high, for gaps in eV and for moduli in their logarithm."""
    gaps = pool.labels[split.test, list(Property).index(Property.BAND_GAP)].astype(float)
    moduli = pool.labels[split.test, list(Property).index(Property.BULK_MODULUS)].astype(float)
    columns = [
        np.stack([gaps + d, 10 ** (np.log10(moduli) + d)], axis=1) for d in (off, off - width, off + width)
    ]
    columns = [np.nan_to_num(column, nan=1.0) for column in columns]
    return Predictions(
        (Property.BAND_GAP, Property.BULK_MODULUS), [pool.ids[n] for n in split.test], *columns
    )


def test_errors_are_counted_on_each_scale(judged: tuple[GraphPool, Split]) -> None:
    """MAE, RMSE and width are in eV for gaps and in log10 for moduli, over the rows that have a label."""
    gap, modulus = score(predictions(*judged, off=0.25, width=0.5), *judged)
    assert (gap.crystals, modulus.crystals) == (20, 10)
    for each in (gap, modulus):
        assert each.mae == pytest.approx(0.25, rel=1e-4)
        assert each.rmse == pytest.approx(0.25, rel=1e-4)
        assert each.coverage95 == 1
        assert each.mean_width95 == pytest.approx(1.0, rel=1e-4)
        assert each.mae_of_mean > 0.25
    assert score(predictions(*judged, off=0.25, width=0.2), *judged)[0].coverage95 == 0


def test_nothing_is_left_out_of_a_score(judged: tuple[GraphPool, Split]) -> None:
    """A crystal without prediction, and a prediction that is no number, raise."""
    good = predictions(*judged, off=0, width=1)
    with pytest.raises(InvalidFieldError, match="1 crystals have no prediction"):
        score(
            Predictions(good.properties, ["x", *good.ids[1:]], good.values, good.lower, good.upper), *judged
        )
    values = good.values.copy()
    values[0, 0] = np.nan
    with pytest.raises(InvalidFieldError, match="not a number"):
        score(Predictions(good.properties, good.ids, values, good.lower, good.upper), *judged)


def test_predictions_come_back_from_their_file(tmp_path: Path, judged: tuple[GraphPool, Split]) -> None:
    """Saved and loaded, predictions score the same; anything else raises DataCorruptError."""
    good = predictions(*judged, off=0.1, width=0.3)
    good.save(tmp_path / "p.parquet")
    assert score(Predictions.load(tmp_path / "p.parquet"), *judged) == score(good, *judged)
    (tmp_path / "q.parquet").write_text("nothing")
    with pytest.raises(DataCorruptError):
        Predictions.load(tmp_path / "q.parquet")


def test_conformal_intervals_hold_what_they_say() -> None:
    """Over many draws, intervals measured on 400 crystals hold 95% of fresh ones, whatever the errors."""
    random = np.random.default_rng(0)
    held = []
    for _ in range(100):
        scales = random.uniform(0.1, 3, 2400)
        errors = np.abs(random.standard_t(2, 2400)) * scales
        factor = conformal_factor(errors[:400], scales[:400])
        held.append((errors[400:] <= factor * scales[400:]).mean())
    assert np.mean(held) == pytest.approx(0.95, abs=0.005)


def test_no_crystals_give_no_factor() -> None:
    """Without anything to measure on, the factor is not a number rather than a guess."""
    assert np.isnan(conformal_factor(np.zeros(0), np.zeros(0)))


def test_magpie_features_are_of_the_composition_alone() -> None:
    """A supercell has the features of its cell; the table knows the shells of iron."""
    np.testing.assert_allclose(
        composition_features(build_graph(block())), composition_features(build_graph(sodium_chloride()))
    )
    assert element_table()[26][-8:].tolist() == [2, 0, 6, 0, 0, 0, 4, 0]


def test_a_forest_beats_the_mean(judged: tuple[GraphPool, Split]) -> None:
    """The random forest's errors are below those of a constant, each property on its scale."""
    gap, modulus = random_forest(*judged, [Property.BAND_GAP, Property.BULK_MODULUS])
    assert gap.mae < 0.7 * gap.mae_of_mean
    assert modulus.crystals == 10
