"""The stages of a tiny run: who is used where, variants, and exact repetition."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mri2pet import provenance
from mri2pet.cohort.splits import leaks
from mri2pet.config import Design
from mri2pet.run import Run
from mri2pet.stages import learn, learned
from mri2pet.stages.learned import load_learned
from mri2pet.stages.rows import table1_rows
from mri2pet.stages.sample import sample_stage
from mri2pet.stages.style import style_images, unpaired_ids


def same(a, b):
    left, right = a.model().state_dict(), b.model().state_dict()
    return left.keys() == right.keys() and all(
        np.array_equal(left[k].numpy(), right[k].numpy()) for k in left
    )


def test_nobody_is_on_both_sides(tiny_run):
    store = tiny_run.cohort()
    scans = store.scans
    test = scans.loc[store.ids(part="test")]
    for ids in (
        store.ids(part="train"),
        store.ids(part="val"),
        unpaired_ids(tiny_run, store),
    ):
        assert leaks(scans.loc[ids], test) == []


def test_styled_volumes_have_a_report_each(tiny_run):
    for design in ("published", "corrected"):
        styled = tiny_run.styled(design)
        assert styled.volumes.shape == (4, 16, 32, 32)
        assert styled.volumes.min() >= 0
        assert styled.volumes.max() <= 1
        assert list(styled.report["scan_id"]) == styled.scan_ids


def test_style_images_come_from_training_pets_only():
    pets = np.stack([np.full((2, 2, 2), v, dtype=np.float32) for v in (1.0, 2.0)])
    pets[:, 0, 0, 0] = 0.0
    images, which = style_images(pets, 5, "template", 0)
    assert images.shape[0] == 1
    assert set(which) == {0}
    images, which = style_images(pets, 50, "random", 0)
    assert len(images) == 2
    assert set(which) == {0, 1}
    assert images.min() == 0
    assert images.max() == 1


def test_pretraining_is_where_finetuning_starts(tiny_run):
    pre = tiny_run.pretrain("style", "corrected")
    fine = tiny_run.finetune("mri2pet", "corrected")
    scratch = tiny_run.finetune("no_pretraining", "corrected")
    assert len(pre.losses) == 3
    assert len(fine.losses) == 4
    assert not same(pre, fine)
    # Same data, order and noise: only the start differs.
    assert fine.losses["loss"][0] != scratch.losses["loss"][0]
    assert (fine.losses["samples"] == scratch.losses["samples"]).all()


def test_the_rows_differ_as_their_names_say(tiny_run):
    with_term = tiny_run.finetune("mri2pet", "corrected").losses
    without = tiny_run.finetune("no_loss", "corrected").losses
    assert (with_term["laplacian"] > 0).all()
    assert (without["laplacian"] == 0).all()
    own = tiny_run.finetune("mri2pet_published", "published")
    assert own.network["kind"] == "published"
    assert tiny_run.finetune("vanilla", "published").network["conditioning"] == "global"
    with pytest.raises(ValueError, match="nonsense"):
        tiny_run.finetune("nonsense", "corrected")
    with pytest.raises(ValueError, match="published' only"):
        tiny_run.finetune("mri2pet_published", "corrected")
    with pytest.raises(ValueError, match="typo"):
        tiny_run.finetune("vanilla", "corrected", typo=1)


def test_a_variant_is_a_stage_of_its_own(tiny_run):
    plain = tiny_run.finetune("vanilla", "corrected")
    other = tiny_run.finetune("vanilla", "corrected", prediction="eps")
    short = tiny_run.finetune("vanilla", "corrected", steps=1)
    assert len({plain.path, other.path, short.path}) == 3
    assert other.switches.prediction == "eps"
    assert len(short.losses) == 1
    assert not same(plain, other)


def test_a_network_is_usable_from_its_folder_alone(tiny_run):
    learned = tiny_run.finetune("mri2pet", "corrected")
    alone = load_learned(learned.path.parent)
    assert same(learned, alone)
    assert alone.pet_scale == learned.pet_scale
    assert alone.clip == learned.clip


def test_samples_do_not_depend_on_the_batch(tiny_run, tiny_profile, tmp_path):
    one = tiny_run.sample("mri2pet", "corrected")
    assert one.samples.shape[:2] == (6, 2)
    assert np.isfinite(one.samples).all()
    few = tiny_run.sample("mri2pet", "corrected", people=2)
    np.testing.assert_allclose(few.samples, one.samples[:2], atol=2e-4)


def test_controls(tiny_run):
    store = tiny_run.cohort()
    train = store.read("pet", store.ids(part="train"))
    mean = tiny_run.sample("mean_template").mean
    np.testing.assert_allclose(mean[0], train.mean(axis=0), atol=1e-5)
    other = tiny_run.sample("random_subject").mean
    assert all(any(np.array_equal(o, t) for t in train) for o in other)
    assert tiny_run.sample("regression_unet").samples.shape == (6, 1, 16, 32, 32)
    with pytest.raises(ValueError, match="control"):
        tiny_run.sample("mean_template", "corrected")


def test_table1_has_every_row_and_the_papers_values_where_they_belong(tiny_run):
    table = tiny_run.evaluate()
    values = table[(table["comparison"] == "") & (table["region"] == "brain")]
    ssim = values[(values["metric"] == "ssim") & (values["variant"] == "")]
    made = set(zip(ssim["row"], ssim["design"], strict=True))
    assert made == set(table1_rows())
    assert np.isfinite(ssim["value"].to_numpy(float)).all()
    assert (ssim["low"] <= ssim["value"]).all()
    assert (ssim["value"] <= ssim["high"]).all()
    assert table[table["design"] == "corrected"]["published"].isna().all()
    assert table[table["design"] == "published"]["published"].notna().any()


def test_few_calls_against_all_of_them(tiny_run):
    frame = tiny_run.check_999()
    assert sorted(set(frame["calls"])) == [4, 999]
    assert np.isfinite(frame["ssim_brain"]).all()


def test_a_store_of_another_grid_is_refused(tiny_run, tmp_path):
    path = str(tiny_run.cohort().path)
    wrong = Run.open("smoke", tmp_path / "wrong", store=path, quiet=True)
    with pytest.raises(ValueError, match="grid"):
        wrong.cohort()
    with pytest.raises(ValueError, match="no such folder"):
        Run.open("smoke", tmp_path / "w2", store="/nowhere", quiet=True).cohort()


SCRIPT = """
import sys
from mri2pet.run import Run
run = Run.open(sys.argv[1], sys.argv[2], quiet=True)
run.progress = lambda name, done, total, loss: print(name, done, flush=True)
run.sample("mri2pet", "corrected")
"""


def start(profile, folder):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(profile), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("where", ["style", "pretrain", "finetune"])
def test_kill_9_and_resume_ends_with_the_same_files(
    tiny_run, tiny_profile, tmp_path, where
):
    expected = sample_stage(tiny_run, "mri2pet", "corrected")
    process = start(tiny_profile, tmp_path / "run")
    for line in process.stdout:
        if line.startswith(where):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run" / "synthetic").exists()
    again = start(tiny_profile, tmp_path / "run")
    output = again.communicate(timeout=300)[0]
    assert again.returncode == 0, output
    assert "cohort 1" not in output
    for relative in ("checkpoints/finetune-mri2pet-corrected/weights.pt",):
        a, b = tiny_run.path / relative, tmp_path / "run" / relative
        assert provenance.file_digest(a) == provenance.file_digest(b)
    a = expected.path()
    b = tmp_path / "run" / next(iter(expected.outputs))
    assert provenance.file_digest(a) == provenance.file_digest(b)


def _weights(learned):
    state = learned.model().state_dict()
    return np.concatenate([v.flatten().numpy() for v in state.values()])


# How each switch of a design is changed alone, and what it must change.
EFFECTS = {
    "prediction": lambda run, **v: _weights(run.finetune("vanilla", "corrected", **v)),
    "conditioning": lambda run, **v: _weights(
        run.finetune("vanilla", "corrected", **v)
    ),
    "laplacian_weight": lambda run, **v: _weights(
        run.finetune("no_pretraining", "corrected", **v)
    ),
    "image_loss": lambda run, **v: _weights(
        run.finetune("no_pretraining", "corrected", **v)
    ),
    "ema": lambda run, **v: _weights(run.finetune("vanilla", "corrected", **v)),
    "accumulation": lambda run, **v: _weights(run.pretrain("self", "corrected", **v)),
    "sampler": lambda run, **v: run.sample("vanilla", "corrected", **v).samples,
    "variance": lambda run, **v: (
        run.sample("vanilla", "corrected", sampler="ddpm", **v).samples
    ),
    "eta": lambda run, **v: run.sample("vanilla", "corrected", **v).samples,
    # A guess from predicted noise leaves the range at once; one of x0 may stay inside.
    "clip_x0": lambda run, **v: (
        run.sample("vanilla", "corrected", prediction="eps", **v).samples
    ),
    "gram": lambda run: run.styled("corrected").volumes,
    "style_image": lambda run: run.styled("corrected").volumes,
}
OTHER = {
    "prediction": "eps",
    "conditioning": "global",
    "laplacian_weight": "x0",
    "image_loss": "mse",
    "ema": False,
    "accumulation": "released",
    "sampler": "dpmpp_2m",
    "variance": "beta",
    "eta": 1.0,
    "clip_x0": False,
    "gram": "volume",
    "style_image": "template",
}


def test_every_switch_has_its_effect_tested():
    assert set(EFFECTS) == set(OTHER) == set(Design.model_fields)


@pytest.mark.parametrize("switch", OTHER)
def test_no_switch_is_inert(tiny_run, tiny_profile, tmp_path, switch):
    """Each switch alone changes what it is said to change."""
    effect, other = EFFECTS[switch], OTHER[switch]
    assert getattr(tiny_run.profile.design("corrected"), switch) != other
    if switch in ("gram", "style_image"):
        profile = tmp_path / "changed.yaml"
        text = tiny_profile.read_text()
        profile.write_text(f"{text}designs: {{corrected: {{{switch}: {other}}}}}\n")
        changed_run = Run.open(profile, tmp_path / "run", quiet=True)
        changed_run.log = lambda text: None
        before, after = effect(tiny_run), effect(changed_run)
    else:
        before, after = effect(tiny_run), effect(tiny_run, **{switch: other})
    assert before.shape != after.shape or np.abs(before - after).max() > 1e-6


def test_volumes_that_did_not_move_are_no_targets(tiny_run, monkeypatch, tmp_path):
    """Pre-training leaves them out, and a style stage without any stops."""
    made = tiny_run.styled("corrected")
    report = made.report.copy()
    report.loc[0, "moved"] = False
    seen = {}

    def record(recipe, pairs, *args, **kwargs):
        seen["n"] = len(pairs)
        raise KeyboardInterrupt

    monkeypatch.setattr(
        learn, "styled", lambda run, design: replace(made, report=report)
    )
    monkeypatch.setattr(learned, "train", record)
    with pytest.raises(KeyboardInterrupt):
        tiny_run.pretrain("style", "corrected", learning_rate=0.5)
    assert seen["n"] == len(made.scan_ids) - 1


def test_the_published_network_is_never_in_half_precision_on_a_cpu(tiny_run):
    """Its bfloat16 gradients are wrong there; the others follow the profile."""
    from types import SimpleNamespace

    half = tiny_run.profile.model_copy(update={"dtype": "bfloat16"})
    run = SimpleNamespace(profile=half)
    assert learned.precision(run, {"kind": "published"}) == "float32"
    assert learned.precision(run, {"kind": "spatial"}) == "bfloat16"
    assert learned.precision(tiny_run, {"kind": "spatial"}) == "float32"
