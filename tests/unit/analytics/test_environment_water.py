"""Pollution index of water against worked examples."""

import numpy as np
import pytest

from services.analytics.methods import pollution


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=float)


# Computed independently for this project from Benson and Krause (CC0).
@pytest.mark.parametrize(
    ("temperature", "salinity", "wanted"),
    [(25, 0, 8.263), (28, 0, 7.828), (30, 0, 7.559), (28, 33, 6.514), (25, 35, 6.772)],
)
def test_oxygen_saturation(temperature: float, salinity: float, wanted: float) -> None:
    (found,) = pollution.saturation(one(temperature), one(salinity))
    assert round(float(found), 3) == pytest.approx(wanted, abs=0.0011)


def test_worked_example_of_class_two() -> None:
    """BOD 8, COD 30, TSS 60, DO 2.5 at 28 Cel, pH 7.2; computed by hand for this project (CC0)."""
    ratios = np.array(
        [
            pollution.most(one(8), 3),
            pollution.most(one(30), 25),
            pollution.most(one(60), 50),
            pollution.least(one(2.5), 4, one(7.828)),
            pollution.between(one(7.2), 6, 9),
        ]
    )
    counted = np.where(ratios > 1, 1 + 5 * np.log10(ratios), ratios)
    assert counted[:, 0].round(4).tolist() == [3.1298, 1.3959, 1.3959, 1.718, 0.2]
    (index,) = pollution.index(ratios)
    assert round(float(index), 4) == 2.4753
    assert pollution.category(index) == "lightly polluted"


def test_oxygen_above_saturation_pollutes_nothing_and_hot_water_cannot_be_rated() -> None:
    assert pollution.least(one(9), 4, one(7.828)).tolist() == [0]
    assert np.isnan(pollution.least(one(5), 6, one(5.9))).all()


def test_an_unknown_parameter_leaves_the_index_unknown() -> None:
    found = pollution.index(np.array([[0.5, 0.5], [np.nan, 0.5]]))
    assert np.isnan(found[0])
    assert found[1] == 0.5


def test_classes_end_at_their_bound() -> None:
    assert [pollution.category(value) for value in (1, 1.01, 5, 5.01, 10, 10.01)] == [
        "meets the standard",
        "lightly polluted",
        "lightly polluted",
        "polluted",
        "polluted",
        "heavily polluted",
    ]
