"""Spread over trainings, against scipy and a difference made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mri2pet.evaluation.seeds import over_seeds


def table(values):
    """Lines of rows whose trainings have these values."""
    lines = [
        {
            "row": row,
            "design": "corrected",
            "metric": "ssim",
            "region": "brain",
            "comparison": "",
            "value": value,
            "variant": f"seed{i}" if i else "",
        }
        for row, mine in values.items()
        for i, value in enumerate(mine)
    ]
    return pd.DataFrame(lines)


def test_interval_is_students_and_differences_are_paired_by_seed():
    ours, theirs = [0.80, 0.84, 0.88], [0.70, 0.75, 0.77]
    lines = over_seeds(table({"mri2pet": ours, "vanilla": theirs}))
    assert [(line["row"], line["comparison"]) for line in lines] == [
        ("mri2pet", ""),
        ("vanilla", ""),
        ("vanilla", "mri2pet"),
    ]
    for line, values in zip(
        lines, (ours, theirs, np.subtract(theirs, ours)), strict=True
    ):
        half = stats.sem(values) * stats.t.ppf(0.975, 2)
        assert line["value"] == pytest.approx(np.mean(values))
        assert line["high"] - line["value"] == pytest.approx(half)
        assert (line["n"], line["interval"], line["variant"]) == (3, "seeds", "seeds")


def test_one_training_has_no_spread_and_other_variants_are_no_trainings():
    assert over_seeds(table({"vanilla": [0.8]})) == []
    other = table({"vanilla": [0.8]}).assign(variant="equal_total_steps")
    both = pd.concat([table({"vanilla": [0.8]}), other])
    assert over_seeds(both) == []
