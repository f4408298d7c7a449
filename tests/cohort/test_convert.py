"""DICOM folders: the program that converts them, and what is said without it."""

import stat

import pytest

from mri2pet.cohort import convert
from mri2pet.cohort.convert import nifti_of


def _program(tmp_path, monkeypatch, script):
    path = tmp_path / "bin" / "dcm2niix"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")


def test_a_file_is_returned_as_it_is(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"")
    assert nifti_of(tmp_path / "a.nii", tmp_path / "work") == tmp_path / "a.nii"
    with pytest.raises(ValueError, match="no such image"):
        nifti_of(tmp_path / "b.nii", tmp_path)


def test_the_largest_image_of_a_folder_is_taken(tmp_path, monkeypatch):
    (tmp_path / "I 1").mkdir()
    _program(
        tmp_path,
        monkeypatch,
        # the folder follows -o; the last argument is what to convert
        'while [ "$1" != "-o" ]; do shift; done\n'
        'printf small > "$2/image_a.nii.gz"; printf larger > "$2/image_b.nii.gz"\n',
    )
    found = nifti_of(tmp_path / "I 1", tmp_path / "work")
    assert found.name == "image_b.nii.gz"


def test_what_goes_wrong_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "I1").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="not installed; install it"):
        nifti_of(tmp_path / "I1", tmp_path / "work")
    _program(tmp_path, monkeypatch, "echo No valid DICOM files >&2; exit 2\n")
    with pytest.raises(ValueError, match="made no image .No valid DICOM files"):
        nifti_of(tmp_path / "I1", tmp_path / "work")


def test_a_program_that_hangs_is_stopped(tmp_path, monkeypatch):
    (tmp_path / "I1").mkdir()
    _program(tmp_path, monkeypatch, "sleep 30\n")
    monkeypatch.setattr(convert, "TIMEOUT_S", 0.2)
    with pytest.raises(ValueError, match=r"more than 0\.2 s"):
        nifti_of(tmp_path / "I1", tmp_path / "work")
