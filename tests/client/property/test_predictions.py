"""What a prediction is, without a server."""

from __future__ import annotations

import json
import math

import pytest

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.property.v1 import prediction_pb2
from crystalmesh_client import MaterialInput, PredictedValue, ValueSource
from crystalmesh_client.predictions import prediction_from
from tests.conftest import sodium_chloride

MODEL = ValueSource("prediction", "gaps", "1")


def gap(value: float, uncertainty: float | None) -> PredictedValue:
    return PredictedValue(value, MODEL, uncertainty, "eV", name="band_gap_ev")


@pytest.mark.parametrize(
    ("value", "half", "shown"),
    [
        (3.2071, 0.4, "3.21 ± 0.40"),
        (123.4, 57.2, "123 ± 57"),
        (0.0123, 0.00042, "0.01230 ± 0.00042"),
        (-0.0001, 0.1, "0.00 ± 0.10"),
        (1.23456, 0.0, "1.2346"),
        (1.5, math.inf, "1.5"),
        (1e6, 1e-9, "1000000.000000 ± 0.000000"),
    ],
)
def test_values_are_shown_with_the_digits_that_mean_something(value: float, half: float, shown: str) -> None:
    """Two digits of half of the interval, and the value as far as that."""
    assert gap(value, half / 1.96).rounded == shown


def test_intervals_end_where_the_property_does() -> None:
    """A gap is never below 0, a formation energy may be; without an uncertainty there is no interval."""
    known = gap(0.5, 0.5)
    assert known.lower == 0
    assert known.upper == pytest.approx(1.48)
    energy = PredictedValue(0.5, MODEL, 0.5, name="formation_energy_ev_per_atom")
    assert energy.lower == pytest.approx(-0.48)
    unsure = gap(0.5, None)
    assert (unsure.lower, unsure.upper, unsure.rounded) == (None, None, "0.5")


def message() -> prediction_pb2.Prediction:
    given = prediction_pb2.Prediction(out_of_domain=True)
    value = given.values.add(property=2, value=3.0, uncertainty=0.2, unit="eV")
    value.source.kind, value.source.name = property_pb2.SOURCE_KIND_PREDICTION, "gaps"
    given.domain_warnings.add(kind=1, message="never <saw> Na", atomic_numbers=[11], model="gaps")
    return given


def test_all_of_it_is_json() -> None:
    """`to_dict` survives JSON, with the interval beside the value and the symbols of elements."""
    fields = json.loads(json.dumps(prediction_from(message(), sodium_chloride()).to_dict()))
    assert (fields["id"], fields["formula"], fields["out_of_domain"]) == ("NaCl", "NaCl", True)
    assert fields["values"]["band_gap_ev"]["upper"] == pytest.approx(3.392)
    assert fields["domain_warnings"] == [
        {"kind": "unseen_element", "message": "never <saw> Na", "elements": ["Na"], "model": "gaps"}
    ]


def test_it_shows_in_a_notebook() -> None:
    """A row a property, and what is unlike, as text and not as markup."""
    shown = prediction_from(message(), sodium_chloride())._repr_html_()
    for part in ("3.00 ± 0.39", "gap eV", "gaps", "never &lt;saw&gt; Na", "out of domain"):
        assert part in shown


def test_predicted_values_can_be_added_to_a_catalog() -> None:
    """A predicted value is a property value whose source is the model."""
    prediction = prediction_from(message(), sodium_chloride())
    assert str(prediction["band_gap_ev"]) == "3 ± 0.2 eV (prediction gaps)"
    (known,) = MaterialInput(prediction.crystal, properties=prediction.values).to_proto().properties
    assert (known.source.kind, known.source.name) == (4, "gaps")
    with pytest.raises(KeyError):
        prediction["bulk_modulus_gpa"]


def test_what_this_client_does_not_know_yet_is_kept() -> None:
    """A property and a warning of a later server have names all the same."""
    later = prediction_pb2.Prediction()
    later.values.add(property=99, value=1.0)
    later.domain_warnings.add(kind=99, message="too red")
    prediction = prediction_from(later, sodium_chloride())
    assert list(prediction.values) == ["property_99"]
    assert prediction.domain_warnings[0].kind == "unspecified"
