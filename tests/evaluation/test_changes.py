"""Sign and size of a change, against scipy and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.proportion import proportion_confint

from mri2pet.evaluation.changes import same_sign, slope_statistic
from mri2pet.evaluation.inference import patient_bootstrap


def test_sign_and_its_interval_are_those_of_statsmodels():
    rng = np.random.default_rng(0)
    real, synthetic = rng.standard_normal((2, 25))
    e = same_sign(real, synthetic)
    hits = sum(a * b > 0 for a, b in zip(real, synthetic, strict=True))
    assert e.value == hits / 25
    np.testing.assert_allclose(
        (e.low, e.high), proportion_confint(hits, 25, method="beta"), atol=1e-9
    )


def test_a_picture_that_never_changes_agrees_with_nobody():
    e = same_sign([0.1, -0.2, 0.0], np.zeros(3))
    assert (e.value, e.low) == (0.0, 0.0)
    assert np.isnan(same_sign([], []).value)


def test_slope_is_the_least_squares_line_through_zero():
    rng = np.random.default_rng(1)
    real, noise = rng.standard_normal((2, 40))
    synthetic = 0.4 * real + 0.1 * noise
    fit = sm.OLS(synthetic, real).fit()
    pair = np.stack([real, synthetic])
    weights = rng.multinomial(40, np.full(40, 1 / 40), size=3)
    for w, slope in zip(weights, slope_statistic(pair, weights), strict=True):
        again = sm.WLS(synthetic, real, weights=w).fit()
        assert slope == pytest.approx(again.params[0])
    e = patient_bootstrap(pair, range(40), slope_statistic, n_boot=4000)
    assert e.value == pytest.approx(fit.params[0])
    np.testing.assert_allclose((e.low, e.high), fit.conf_int()[0], atol=0.03)
    assert np.isnan(slope_statistic(np.zeros((2, 4)), np.ones((1, 4)))).all()


@pytest.mark.parametrize(
    ("real", "synthetic", "message"),
    [
        ([0.1], [0.1, 0.2], "shape"),
        ([np.nan], [0.1], "real change nan"),
        ([0.1], [np.inf], "synthetic change inf"),
    ],
)
def test_bad_changes_are_refused(real, synthetic, message):
    with pytest.raises(ValueError, match=message):
        same_sign(real, synthetic)
