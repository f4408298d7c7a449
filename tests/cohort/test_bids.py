"""A BIDS dataset as users have it: what is found, and what is said of the rest."""

import json

import numpy as np
import pytest

from mri2pet.cohort.bids import read_bids
from mri2pet.cohort.pairing import pair
from mri2pet.cohort.visits import read_table


def _touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def _reasons(dataset):
    return dict(dataset.skipped.values.tolist())


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "Ein Datensatz ü"
    _touch(
        root,
        "sub-01/ses-M000/anat/sub-01_ses-M000_T1w.nii.gz",
        "sub-01/ses-M000/pet/sub-01_ses-M000_trc-AV45_pet.nii.gz",
        "sub-01/ses-M024/anat/sub-01_ses-M024_run-1_T1w.nii.gz",
        "sub-01/ses-M024/anat/sub-01_ses-M024_run-2_T1w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii",
        "sub-02/pet/sub-02_trc-18FFDG_pet.nii.gz",
        "sub-02/pet/sub-02_trc-florbetapir_pet.nii.gz",
    )
    return root


def test_images_sessions_and_days(root):
    dataset = read_bids(root)
    images = dataset.images.set_index("image")
    assert len(images) == 5
    first = images.loc["sub-01/ses-M000/pet/sub-01_ses-M000_trc-AV45_pet.nii.gz"]
    assert (first["participant_id"], first["kind"]) == ("sub-01", "pet")
    assert (first["tracer"], first["days"]) == ("AV45", 0)
    later = images.loc["sub-01/ses-M024/anat/sub-01_ses-M024_run-1_T1w.nii.gz"]
    assert later["days"] == 730  # from the label: no table gives dates
    reasons = _reasons(dataset)
    assert reasons["sub-01/ses-M024/anat/sub-01_ses-M024_run-2_T1w.nii.gz"] == (
        "another run of the session is used"
    )
    assert "FDG" in reasons["sub-02/pet/sub-02_trc-18FFDG_pet.nii.gz"]
    assert pair(dataset.images)["days_apart"].tolist() == [0, 0]


def test_dates_of_the_sessions_table_go_before_labels(root):
    (root / "sub-01/sub-01_sessions.tsv").write_text(
        "session_id\tacq_time\tMMSE\tDX\n"
        "ses-M000\t2011-03-01T10:00:00\t29\tCN\n"
        "ses-M024\t2012-01-01\t99\tDementia\n"
    )
    dataset = read_bids(root)
    visits = dataset.visits
    assert visits.loc[("sub-01", "ses-M024"), "days"] == 305
    assert visits.loc[("sub-01", "ses-M000"), "mmse"] == 29
    assert np.isnan(visits.loc[("sub-01", "ses-M024"), "mmse"])
    assert visits.loc[("sub-01", "ses-M024"), "diagnosis"] == "AD"
    assert "MMSE 99 is not in 0..30" in _reasons(dataset)["sub-01 ses-M024"]


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_participants_with_any_separator_and_a_byte_order_mark(root, separator, mark):
    rows = [
        ["participant_id", "Gender", "age", "APOE4", "Diagnosis"],
        ["sub-01", "Female", "71.5", "1", "EMCI"],
        ["02", "M", "n/a", "n/a", "n/a"],
        ["sub-99", "F", "70", "0", "CN"],
    ]
    text = mark + "\r\n".join(separator.join(row) for row in rows)
    (root / "participants.tsv").write_text(text, encoding="utf-8")
    visits = read_bids(root).visits
    one = visits.loc[("sub-01", "ses-M000")]
    assert (one["sex"], one["age"], one["apoe_e4"], one["diagnosis"]) == (
        *("F", 71.5, 1),
        "MCI",
    )
    two = visits.loc[("sub-02", "")]
    assert two["sex"] == "M" and two[["age", "diagnosis"]].isna().all()
    assert "sub-99" not in visits.index.get_level_values(0)


def test_values_that_mean_nothing_are_listed(root):
    (root / "participants.tsv").write_text(
        "participant_id\tage\tdiagnosis\nsub-01\told\tmaybe\n"
    )
    said = " ".join(f"{k}: {v}" for k, v in read_bids(root).skipped.values.tolist())
    assert "age 'old' is no number" in said and "'maybe' is not CN, MCI or AD" in said


def test_a_table_without_its_key_or_that_is_none_is_listed(root):
    (root / "participants.tsv").write_text("id\tage\n1\t2\n")
    assert (
        "no column participant_id"
        in _reasons(read_bids(root))[str(root / "participants.tsv")]
    )
    (root / "participants.tsv").write_bytes(b"\xff\xfe\x00bad")
    assert "cannot be read" in _reasons(read_bids(root))[str(root / "participants.tsv")]
    (root / "participants.tsv").write_text("")
    with pytest.raises(ValueError, match="empty"):
        read_table(root / "participants.tsv")


def test_ids_of_mixed_case_and_names_that_do_not_fit(root):
    _touch(
        root,
        "sub-AB/anat/sub-AB_T1w.nii.gz",
        "sub-ab/anat/sub-ab_T1w.nii.gz",
        "sub-03/anat/sub-04_T1w.nii.gz",
        "sub-03/anat/.sub-03_T1w.nii.gz",
        "sub-03/anat/sub-03_T1w.txt",
    )
    dataset = read_bids(root)
    assert "differ in case" in _reasons(dataset)["sub-AB and sub-ab"]
    assert {"sub-AB", "sub-ab"} <= set(dataset.images["participant_id"])
    assert "does not fit" in _reasons(dataset)["sub-03/anat/sub-04_T1w.nii.gz"]
    assert "sub-03" not in set(dataset.images["participant_id"])


def test_links_out_of_the_dataset_are_not_followed(root, tmp_path):
    _touch(tmp_path, "elsewhere/anat/sub-07_T1w.nii.gz", "secret.nii.gz")
    (root / "sub-07").symlink_to(tmp_path / "elsewhere")
    (root / "sub-02/anat/sub-02_acq-x_T1w.nii.gz").symlink_to(
        tmp_path / "secret.nii.gz"
    )
    _touch(root, "sub-05/anat/sub-05_T1w.nii.gz")
    (root / "sub-06/anat").mkdir(parents=True)
    (root / "sub-06/anat/sub-06_T1w.nii.gz").symlink_to(
        root / "sub-05/anat/sub-05_T1w.nii.gz"
    )
    dataset = read_bids(root)
    reasons = " ".join(dataset.skipped["path"])
    assert "sub-07" in reasons and "acq-x" in reasons
    assert "sub-06" in set(dataset.images["participant_id"])  # stays inside


def test_the_tracer_may_stand_in_the_sidecar(root):
    name = "sub-02/ses-M012/pet/sub-02_ses-M012_pet"
    _touch(root, f"{name}.nii.gz")
    (root / f"{name}.json").write_text(json.dumps({"TracerName": "[18F]AV-45"}))
    found = read_bids(root).images.set_index("image")
    assert found.loc[f"{name}.nii.gz", "tracer"] == "AV45"
    (root / f"{name}.json").write_text("{not json")
    assert (
        read_bids(root).images.set_index("image").loc[f"{name}.nii.gz", "tracer"] == ""
    )


def test_nothing_usable_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match="there is no such folder"):
        read_bids(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no T1w image"):
        read_bids(tmp_path)


@pytest.mark.slow
def test_25000_scans_are_read_paired_and_split_in_a_minute(tmp_path):
    import resource
    import time

    from mri2pet.cohort.splits import patient_split

    for person in range(6250):
        for month in (0, 12):
            where = f"sub-{person:05}/ses-M{month:03}"
            stem = f"sub-{person:05}_ses-M{month:03}"
            _touch(
                tmp_path,
                f"{where}/anat/{stem}_T1w.nii.gz",
                f"{where}/pet/{stem}_trc-AV45_pet.nii.gz",
            )
    start = time.perf_counter()
    dataset = read_bids(tmp_path)
    pairs = pair(dataset.images)
    days = dataset.images.set_index("image")["days"]
    people = pairs.set_index("mri").assign(days=lambda own: days[own.index])
    parts = patient_split(people, (0.8, 0.1, 0.1), seed=0, stratify=None)
    took = time.perf_counter() - start
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(dataset.images) == 25_000 and len(pairs) == len(parts) == 12_500
    assert took <= 60 and peak <= 2e9, (took, peak)
