"""Crossings of learning curves, on curves drawn by hand."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.evaluation.curves import crossings


def line(row, design, samples, value, half=0.01, metric="ssim"):
    ends = {"value": value, "low": value - half, "high": value + half}
    where = {"row": row, "design": design, "metric": metric, "region": "brain"}
    return {**where, "samples": samples, **ends, "n": 10}


def curves(*points, half=0.01):
    lines = [line("mean_template", "", 0, 0.80, half)]
    lines += [line("gan", "corrected", n, v, half) for n, v in points]
    return pd.DataFrame(lines)


def crossed(frame):
    return crossings(frame, ["mean_template"])["mean_template"].item()


def test_a_row_counts_from_where_it_stays_above():
    assert crossed(curves((10, 0.7), (20, 0.9), (40, 0.95))) == 20
    # Above once, but not for good.
    assert crossed(curves((10, 0.9), (20, 0.7), (40, 0.95))) == 40
    assert crossed(curves((10, 0.9), (20, 0.9))) == 10


def test_not_above_at_the_end_or_not_resolved_is_no_crossing():
    assert np.isnan(crossed(curves((10, 0.9), (20, 0.7))))
    assert np.isnan(crossed(curves((10, 0.805), (20, 0.815))))


def test_a_diverged_point_is_not_above():
    assert np.isnan(crossed(curves((10, 0.9), (20, np.nan))))


def test_the_order_of_lines_does_not_matter_and_other_scores_are_left_alone():
    frame = curves((40, 0.95), (10, 0.7), (20, 0.9))
    more = pd.DataFrame([line("gan", "corrected", 10, 99, metric="psnr")])
    assert crossed(pd.concat([more, frame])) == 20


def test_an_unknown_control_is_refused():
    with pytest.raises(ValueError, match="'random_subject' is not among"):
        crossings(curves((10, 0.7)))
