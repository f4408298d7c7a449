"""The commands: one clear line and exit 2 for mistakes, nothing half-written."""

import json

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_template

from mri2pet.cli import main


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def network(tiny_run):
    return tiny_run.finetune("mri2pet", "corrected").path.parent


@pytest.fixture(scope="module")
def t1(tmp_path_factory):
    path = tmp_path_factory.mktemp("t1") / "t1.nii.gz"
    nib.save(load_mni152_template(resolution=2), path)
    return path


@pytest.mark.parametrize(
    "command",
    [
        *("reproduce", "stage", "phantom", "prepare", "synthesize", "figures"),
        *("keep", "check"),
    ],
)
def test_every_command_has_help_with_an_example(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"example: mri2pet {command}" in capsys.readouterr().out


def test_synthesize_a_real_t1(capsys, network, t1, tmp_path):
    out, sd = tmp_path / "pet.nii.gz", tmp_path / "sd.nii.gz"
    status, text, err = run(
        capsys, "synthesize", t1, "--out", out, "--uncertainty", sd, "--prepared",
        "--samples", 2, "--calls", 3, "--checkpoint", network,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "Research use only" in text
    source, pet = nib.load(t1), nib.load(out)
    assert pet.shape == source.shape
    np.testing.assert_allclose(pet.affine, source.affine)
    values, inside = pet.get_fdata(), source.get_fdata() > 0.1
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert (values[source.get_fdata() <= 0] == 0).all()
    assert 0.2 < values[inside].mean() < 2.0
    assert (nib.load(sd).get_fdata()[inside] > 0).mean() > 0.9
    card = json.loads((tmp_path / "pet.json").read_text())
    assert card["Units"] == "SUVR"
    assert card["TrainedOn"] == "phantoms"
    assert "phantoms" in card["Notice"]
    assert card["Samples"] == 2
    assert (tmp_path / "pet.png").stat().st_size > 10_000  # a picture to look at


def _nifti(tmp_path, data, affine=None):
    path = tmp_path / "in.nii.gz"
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def _bad(kind, tmp_path, t1):
    template = nib.load(t1)
    data = template.get_fdata().astype(np.float32)
    if kind == "not a NIfTI":
        path = tmp_path / "in.nii.gz"
        path.write_text("hello")
        return path
    if kind == "empty file":
        path = tmp_path / "in.nii"
        path.touch()
        return path
    if kind == "truncated":
        path = tmp_path / "in.nii.gz"
        path.write_bytes(t1.read_bytes()[:20000])
        return path
    if kind == "absent":
        return tmp_path / "nothing.nii.gz"
    if kind == "2-D":
        return _nifti(tmp_path, data[:, :, 40])
    if kind == "NaN":
        data[10, 10, 10] = np.nan
    if kind == "constant":
        data[:] = 3
    if kind == "metres":
        return _nifti(tmp_path, data, np.diag([0.002, 0.002, 0.002, 1]))
    if kind == "elsewhere":
        affine = template.affine.copy()
        affine[:3, 3] += 60
        return _nifti(tmp_path, data, affine)
    if kind == "no background":
        data = np.random.default_rng(0).random(data.shape, dtype=np.float32)
    return _nifti(tmp_path, data, template.affine)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("not a NIfTI", "not a readable NIfTI"),
        ("empty file", "not a readable NIfTI"),
        ("truncated", "cannot be read to its end"),
        ("absent", "no such file"),
        ("2-D", "expected one 3-D volume"),
        ("NaN", "NaN"),
        ("constant", "every voxel is 3"),
        ("metres", "voxel sizes"),
        ("elsewhere", "from that of MNI152; leave --prepared"),
        ("no background", "are not background"),
    ],
)
def test_a_wrong_t1_is_refused_and_nothing_is_written(
    capsys, network, t1, tmp_path, kind, message
):
    path = _bad(kind, tmp_path, t1)
    before = sorted(tmp_path.iterdir())
    status, _, err = run(
        capsys, "synthesize", path, "--out", tmp_path / "pet.nii.gz",
        "--checkpoint", network, "--prepared",
    )  # fmt: skip
    assert status == 2
    assert message in err
    assert path.name in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "--profile", "nonsense"], "nonsense"),
        (["stage", "cook", "--run", "x"], "cook"),
        (["stage", "cohort", "--run", "/nowhere/run"], "/nowhere/run"),
        (["keep", "--run", "/nowhere/run"], "/nowhere/run"),
        (["figures", "--run", "/nowhere/run"], "/nowhere/run"),
        (["check", "--run", "/nowhere/run"], "/nowhere/run"),
        (["phantom", "x", "--subjects", "1"], "--subjects is 1"),
        (["phantom", "x", "--subjects", "4", "--voxel", "2"], "--voxel needs --raw"),
        (["phantom", "x", "--subjects", "4", "--no-truth"], "--no-truth needs --raw"),
        (["phantom", "x", "--subjects", "4", "--raw", "--voxel", "9"], "T1 is 9.0 mm"),
        (["phantom", "x", "--subjects", "4", "--raw", "--frames", "0"], "frames is 0"),
        (["synthesize", "x.nii", "--out", "pet.txt"], "pet.txt"),
        (["synthesize", "x.nii", "--out", "a.nii", "--uncertainty", "b.nii"], "2 or"),
        (
            ["synthesize", "x.nii", "--out", "a.nii", "--checkpoint", "/nowhere"],
            "x.nii",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    capsys, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_no_trained_network_says_how_to_make_one(capsys, monkeypatch, tmp_path, t1):
    monkeypatch.setenv("MRI2PET_RUNS", str(tmp_path))
    status, _, err = run(capsys, "synthesize", t1, "--out", tmp_path / "a.nii.gz")
    assert status == 2
    assert "mri2pet reproduce --profile smoke" in err


@pytest.mark.parametrize("profile", ["smoke", "tutorial", "paper"])
def test_a_dry_run_prints_the_plan_and_makes_nothing(
    capsys, monkeypatch, tmp_path, profile
):
    monkeypatch.setenv("MRI2PET_RUNS", str(tmp_path))
    status, out, _ = run(capsys, "reproduce", "--profile", profile, "--dry-run")
    assert status == 0
    assert "Disk" in out
    assert ("GPU-hours" in out) == (profile == "paper")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(capsys, monkeypatch, tiny_run):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("mri2pet.stages.plan.STAGES", {"cohort": full})
    status, _, err = run(capsys, "stage", "cohort", "--run", tiny_run.path)
    assert status == 2
    assert "disk is full" in err


def test_phantoms_make_a_store(capsys, tmp_path):
    from mri2pet.cohort.store import Store

    out = tmp_path / "people.zarr"
    status, text, _ = run(capsys, "phantom", out, "--subjects", 5)
    assert status == 0
    assert "5 phantom people" in text
    assert len(Store(out).ids(has_pet=True)) == 5
    assert run(capsys, "phantom", out, "--subjects", 5)[0] == 2


def test_phantoms_make_a_raw_dataset(capsys, tiny_profile, tmp_path):
    from mri2pet.cohort.bids import read_bids

    out = tmp_path / "people"
    arguments = [
        *("phantom", out, "--subjects", 4, "--profile", tiny_profile, "--raw"),
        *("--voxel", 5, "--pet-voxel", 6, "--frames", 1, "--no-truth"),
    ]
    status, text, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert "4 phantom people as a BIDS dataset" in text
    images = read_bids(out).images
    assert images["participant_id"].nunique() == 4
    image = nib.load(images.loc[images["kind"] == "pet", "path"].iloc[0])
    assert (image.ndim, image.header.get_zooms()) == (3, (6, 6, 6))
    assert not (out / "derivatives").exists()
    made = json.loads((out / "code" / "phantom.json").read_text())
    assert (made["seed"], made["rho"]) == (4, 0.67)
    assert run(capsys, *arguments)[0] == 2
