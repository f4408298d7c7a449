"""Figures are drawn from saved results, with words made from the data."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mri2pet.report.figures import FIGURES, figure_2, forest, pick_people

SHAPE = (16, 32, 32)


class _Store:
    def __init__(self, ids):
        rng = np.random.default_rng(0)
        self._volumes = {i: rng.random(SHAPE) for i in ids}
        self.scans = pd.DataFrame(
            {"participant_id": [i[:6] for i in ids], "diagnosis": "CN", "age": 71.6},
            index=pd.Index(ids, name="scan_id"),
        )

    def ids(self, part=None, has_pet=None):
        return list(self.scans.index)

    def read(self, kind, ids):
        return np.stack([self._volumes[i] for i in ids])


@pytest.fixture
def make_run(tmp_path, cases):
    def make(tidy):
        frames = cases.scan_scores()
        ids = list(next(iter(frames.values())).index)
        (tmp_path / "results").mkdir(exist_ok=True)
        lines = [
            f.reset_index().assign(row=row, design=design, variant="")
            for (row, design), f in frames.items()
        ]
        pd.concat(lines).to_parquet(tmp_path / "results" / "table1_scans.parquet")
        store = _Store(ids)
        made = SimpleNamespace(
            scan_ids=ids[::-1], samples=store.read("pet", ids[::-1])[:, None]
        )
        return SimpleNamespace(
            path=tmp_path,
            profile=SimpleNamespace(seed=3),
            results=lambda name: tidy,
            cohort=lambda: store,
            sample=lambda row, design="": made,
        )

    return make


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_figure_is_drawn_with_caption_and_alt(make_run, tidy, name):
    rows = {"rows": ("mri2pet", "no_loss", "mean_template")}
    fig, caption, alt = FIGURES[name](
        make_run(tidy), **(rows if name == "figure-2" else {})
    )
    fig.draw_without_rendering()
    assert len(fig.axes) >= 1
    assert caption.endswith(".")
    assert any(c.isdigit() for c in alt) or "ahead" in alt
    assert len(alt) > 60


def test_people_are_drawn_before_looking_one_scan_each():
    scans = pd.DataFrame(
        {"participant_id": ["a", "a", "b", "c", "d"]}, index=list("vwxyz")
    )
    picked = pick_people(scans, 3, seed=1)
    assert len(picked) == 3
    assert "w" not in picked  # the second visit of a
    assert picked == pick_people(scans, 3, seed=1)
    assert pick_people(scans, 9, seed=1) == ["v", "x", "y", "z"]


def test_each_synthetic_pet_stands_beside_its_own_person(make_run, tidy):
    run = make_run(tidy)
    fig, _, _ = figure_2(run, "corrected", rows=("mri2pet",), people=2)
    images = [ax.images[0].get_array() for ax in fig.axes if ax.images]
    real, synthetic = images[1:3]
    # the fake generator returns the person's own volume, stored in reverse order
    np.testing.assert_array_equal(real, synthetic)
    assert not np.array_equal(images[1], images[4])


def test_words_of_the_forest_flip_with_the_numbers(make_run, tidy, cases):
    _, caption, alt = forest(make_run(tidy))
    assert "40 people" in caption
    part = alt.split("Against MRI2PET, ")[1]
    assert "behind: w/o Loss (published)" in part
    flipped = cases.make_tidy(
        cases.swapped(("mri2pet", "published"), ("no_loss", "published"))
    )
    _, _, alt = forest(make_run(flipped))
    part = alt.split("Against MRI2PET, ")[1]
    assert "w/o Loss (published)" in part.split("behind")[0]
