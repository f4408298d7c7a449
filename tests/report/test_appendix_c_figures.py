"""Figures of chapter 13 are drawn from saved results, with words from the data."""

from types import SimpleNamespace

import atrophy_cases as cases
import numpy as np
import pandas as pd
import pytest

from mri2pet.report import appendix_c as across
from mri2pet.report import interventions as within

SHAPE = (16, 32, 32)


class _Store:
    def __init__(self, ids):
        rng = np.random.default_rng(0)
        self._volumes = {i: rng.random(SHAPE) for i in ids}
        people = len(ids)
        diagnosis = np.where(np.arange(people) % 3 == 0, "AD", "CN")
        self.scans = pd.DataFrame({"diagnosis": diagnosis}, index=ids)

    def read(self, kind, ids):
        return np.stack([self._volumes[i] for i in ids])


@pytest.fixture
def make_run(tmp_path):
    def make(effects=cases.AS_THE_PAPER_SAYS):
        frames, changes = cases.frames(effects), cases.made(effects)
        tidy, _ = cases.results(frames, changes, unlinked_changes=changes)
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "appendix_c").mkdir(exist_ok=True)
        lines = [
            f.assign(row=k[0], design=k[1], variant=k[2]) for k, f in frames.items()
        ]
        pd.concat(lines).to_parquet(tmp_path / "results/appendix_c_scans.parquet")
        changes.to_parquet(tmp_path / "results/appendix_c_interventions.parquet")
        rng = np.random.default_rng(0)
        volumes = {
            f"{cause}_{end}_{kind}": rng.random(SHAPE)
            for cause in "VA"
            for end in ("low", "high")
            for kind in ("mri", "real_pet", "mri2pet", "brain")
        }
        for kind in ("mri", "mri2pet"):
            volumes[f"A_high_{kind}"] = volumes[f"A_low_{kind}"]
        np.savez(tmp_path / "appendix_c/example.npz", **volumes)
        v = np.linspace(-0.6, 1.4, 9)
        ideal = pd.concat(
            pd.DataFrame({"V": v, "entropy": 1 - 0.2 * rho * v**2, "rho": rho})
            for rho in (0.0, 0.67)
        )
        ids = list(frames[(*cases.MAIN, "")]["scan_id"])
        store = _Store(ids)
        made = SimpleNamespace(
            scan_ids=ids[::-1], samples=store.read("pet", ids[::-1])[:, None]
        )
        tables = {"appendix_c": tidy, "appendix_c_ideal": ideal}
        return SimpleNamespace(
            path=tmp_path,
            parent=None,
            results=lambda name: tables[name],
            cohort=lambda: store,
            sample=lambda row, design="": made,
        )

    return make


@pytest.mark.parametrize(
    "draw",
    [
        across.figure_4,
        across.observed,
        lambda run: within.changed(run, "V"),
        lambda run: within.changed(run, "A"),
        within.change_maps,
        within.across_and_within,
        within.rhos,
    ],
)
def test_every_figure_is_drawn_with_caption_and_alt(make_run, draw):
    fig, caption, alt = draw(make_run())
    fig.draw_without_rendering()
    assert caption.endswith(".")
    assert alt.endswith(".")
    assert any(c.isdigit() for c in alt)
    assert "nan" not in alt
    assert len(alt) > 60


def test_people_are_sorted_by_decay_and_come_once(make_run):
    run = make_run()
    scans = across.read_parquet(run, "appendix_c_scans")
    scans = scans[(scans["row"] == "mri2pet") & (scans["variant"] == "")]
    diagnoses = run.cohort().scans["diagnosis"]
    less, more = across.sorted_by_decay(scans, diagnoses)
    v = scans.set_index("scan_id")["atrophy"]
    assert len(less) == len(more) == 7
    assert list(v[less + more]) == sorted(v[less + more])
    assert set(diagnoses[less + more]) == {"AD"}
    assert not any(scan.endswith("M001") for scan in less + more)
    nobody = diagnoses.where(diagnoses != "AD", None)
    less, more = across.sorted_by_decay(scans, nobody)
    assert len(less) == len(more) == 20


def test_each_synthetic_pet_stands_beside_its_own_person(make_run):
    fig, _, alt = across.figure_4(make_run(), rows=2)
    images = [ax.images[0].get_array() for ax in fig.axes if ax.images]
    for triplet in range(4):
        _, real, synthetic = images[3 * triplet : 3 * triplet + 3]
        # the fake generator returns the person's own volume, stored in reverse order
        np.testing.assert_array_equal(real, synthetic)
    assert alt.startswith("2 rows")


def test_words_flip_with_the_numbers(make_run):
    _, _, one = across.observed(make_run())
    _, _, other = across.observed(make_run(cases.flipped(cases.AS_THE_PAPER_SAYS)))
    assert "detail, MRI2PET: r = +" in one
    assert "detail, MRI2PET: r = -" in other
    _, _, one = within.changed(make_run(), "V")
    _, _, other = within.changed(make_run(cases.flipped(cases.AS_THE_PAPER_SAYS)), "V")
    assert "detail, MRI2PET: +" in one
    assert "detail, MRI2PET: -" in other


def test_what_does_not_change_is_marked(make_run):
    fig, _, alt = within.change_maps(make_run())
    marked = [t.get_text() for ax in fig.axes for t in ax.texts]
    assert marked.count("no change") == 4  # MRI and synthetic PET, two levels
    assert "amyloid A: MRI up to 0.00" in alt


def test_without_interventions_their_figures_say_what_is_missing(make_run):
    run = make_run()
    (run.path / "results/appendix_c_interventions.parquet").unlink()
    (run.path / "appendix_c/example.npz").unlink()
    with pytest.raises(ValueError, match="interventions.parquet: not made yet"):
        within.changed(run, "V")
    with pytest.raises(ValueError, match=r"example.npz: not made yet"):
        within.change_maps(run)
    across.observed(run)


def test_a_changed_run_reads_what_its_parent_has(make_run, tmp_path):
    run = make_run()
    child = SimpleNamespace(path=tmp_path / "child", parent=run.path)
    assert len(across.read_parquet(child, "appendix_c_scans")) > 100
