"""What the r of real against synthetic predictions says follows the numbers."""

import numpy as np
import pandas as pd
import pytest
from clinical_cases import agreement_table

from mri2pet.evaluation.published import fact
from mri2pet.report.agreement import (
    agreement_figure,
    agreement_line,
    predictions_of,
    scatter_figure,
    variants_of,
)
from mri2pet.report.agreement_discussion import discuss_agreement

OWN = ("", "", 0.4, 0.2, 0.6, 60)
SAME = ("reliability", "", 0.3, 0.1, 0.5, 60)
FLOOR = ("rho=0", "", 0.2, 0.1, 0.3, 60)
CHANGE = ("rho=0", "real_pet", -0.2, -0.3, -0.1, 60)


def _text(*lines, predicts=True):
    return "\n".join(discuss_agreement(agreement_table(lines), predicts))


def _with(line, value, low, high):
    return (*line[:2], value, low, high, line[-1])


def test_r_goes_with_against_or_is_open():
    assert "go together" in _text(OWN)
    assert "against each other" in _text(_with(OWN, -0.4, -0.6, -0.2))
    assert "whether they go together is not resolved" in _text(
        _with(OWN, 0.1, -0.2, 0.4)
    )
    assert "could not be made" in _text(SAME)


def test_the_paper_lies_inside_or_outside():
    assert f"{fact('r_real_generated'):.3f} lies inside" in _text(OWN)
    assert "lies outside" in _text(_with(OWN, 0.5, 0.4, 0.6))
    assert "illustrative" not in _text(OWN)
    assert "illustrative" in _text((*OWN[:-1], 12))


def test_the_reliability_is_compared_by_intervals():
    assert "not resolved: the two intervals overlap" in _text(OWN, SAME)
    less = _text(_with(OWN, 0.8, 0.7, 0.9), SAME)
    assert "choice of the training matters more" in less
    more = _text(OWN, _with(SAME, 0.9, 0.8, 0.95))
    assert "exchanging the PET changes a prediction more" in more
    assert "more than an accident" in _text(OWN, _with(SAME, 0.0, -0.2, 0.2))


def test_the_floor_is_anatomy():
    assert "more than anatomy alone gives" in _text(OWN, FLOOR, CHANGE)
    assert "needs no amyloid at all" in _text(OWN, FLOOR, CHANGE)
    flat = _text(OWN, _with(FLOOR, 0.0, -0.1, 0.1), CHANGE)
    assert "needs no amyloid" not in flat
    assert "not resolved from what anatomy" in _text(
        OWN, FLOOR, _with(CHANGE, -0.2, -0.5, 0.1)
    )
    assert "less than anatomy alone" in _text(OWN, FLOOR, _with(CHANGE, 0.2, 0.1, 0.3))
    assert "minus this floor is 0.20 [0.10, 0.30]" in _text(OWN, FLOOR, CHANGE)
    assert "The floor" not in _text(OWN)


def test_what_it_may_be_called_hangs_on_the_predictor():
    assert "can be about cognition" in _text(OWN, predicts=True)
    assert "nothing here shows that it is about cognition" in _text(OWN, predicts=False)


def test_the_figure_shows_every_r_once():
    last = ("last_seed", "", 0.5, 0.1, 0.8, 60)
    other = ("reliability.rho=0", "", 0.1, -0.1, 0.3, 60)
    table = agreement_table([other, SAME, FLOOR, CHANGE, last, OWN])
    assert variants_of(table) == [
        *("", "last_seed", "rho=0"),
        *("reliability", "reliability.rho=0"),
    ]
    fig, caption, alt = agreement_figure(table)
    fig.draw_without_rendering()
    assert "60 people" in caption and "paper's r" in caption
    assert len(fig.axes[0].get_yticklabels()) == 5
    assert "all trainings: 0.40 [0.20, 0.60]" in alt
    assert "rho = 0: 0.20" in alt
    assert agreement_line(table, variant="rho=0", comparison="real_pet")["value"] < 0


def _predictions(shift):
    rng = np.random.default_rng(0)
    lines = []
    for seed in (0, 4):
        for person in range(12):
            real = 25 + rng.normal()
            about = {"scan_id": f"s{person}", "seed": seed, "truth": 20.0 + person / 2}
            about |= {"row": "real_pet", "variant": "", "target": "mmse_20"}
            lines += [
                {**about, "on": "real", "predicted": real},
                {**about, "on": "generated", "predicted": real + shift},
            ]
    return pd.DataFrame(lines)


def test_the_scatter_puts_each_person_at_both_predictions():
    pairs = predictions_of(_predictions(2.0), "real_pet", "mmse_20")
    assert len(pairs) == 24
    assert (pairs["generated"] - pairs["real"]).to_numpy() == pytest.approx(2.0)
    fig, caption, alt = scatter_figure(pairs, agreement_table([OWN]), "mmse_20")
    fig.draw_without_rendering()
    dots = np.asarray(fig.axes[1].collections[0].get_offsets())
    assert dots[:, 1] - dots[:, 0] == pytest.approx(2.0)  # one above the identity
    assert len(fig.axes[0].collections[0].get_offsets()) == 12  # the last training
    assert "line" in caption and "0.40 [0.20, 0.60]" in alt
    frame = _predictions(1.0)
    with pytest.raises(ValueError, match="no predictions from generated PET"):
        predictions_of(frame[frame["on"] == "real"], "real_pet", "mmse_20")
