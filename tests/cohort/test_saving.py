"""An image is written whole or not at all."""

import os
import resource
import signal
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from mri2pet.cohort.images import read_image, save_image

AFFINE = np.diag([8.0, 8, 8, 1])
NOISE = np.random.default_rng(0).random((16, 16, 16), dtype=np.float32)
WRITE = """
import resource, signal, sys
import nibabel as nib
import numpy as np
from pathlib import Path
from mri2pet.cohort.images import save_image
noise = np.random.default_rng(1).random((32, 32, 32), dtype=np.float32)
signal.signal(signal.SIGXFSZ, getattr(signal, sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_image(nib.Nifti1Image(noise, np.diag([8.0, 8, 8, 1])), Path(sys.argv[1]))
except OSError as error:
    print(error.filename, error.strerror)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def image():
    return nib.Nifti1Image(NOISE, AFFINE)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "b.c.nii.gz", "ü b.nii"])
def test_what_is_saved_is_read_again(tmp_path, name):
    save_image(image(), tmp_path / "new" / name)
    raw = read_image(tmp_path / "new" / name)
    np.testing.assert_array_equal(raw.data, NOISE)
    np.testing.assert_array_equal(raw.affine, AFFINE)
    assert names(tmp_path / "new") == [name]
    packed = (tmp_path / "new" / name).read_bytes()[:2] == b"\x1f\x8b"
    assert packed == name.endswith("gz")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path, name, killed):
    path = tmp_path / name
    save_image(image(), path)
    before = path.read_bytes()
    # The system ends the writer in the middle of a write, or lets the write fail.
    ran = subprocess.run(
        [sys.executable, "-c", WRITE, str(path), "SIG_DFL" if killed else "SIG_IGN"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    )
    assert path.read_bytes() == before
    left = sorted(set(names(tmp_path)) - {name})
    if not killed:
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == f"{path} File too large\n"
        assert left == []
        return
    assert ran.returncode == -signal.SIGXFSZ
    assert len(left) == 1 and left[0].startswith(".")
    save_image(image(), tmp_path / "b.nii")
    assert (tmp_path / left[0]).exists()  # a day has not passed: it may be in use
    os.utime(tmp_path / left[0], (0, 0))
    save_image(image(), tmp_path / "b.nii")
    assert names(tmp_path) == sorted([name, "b.nii"])


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError) as caught:
        save_image(image(), tmp_path / "file" / "a.nii")
    assert caught.value.filename == str(tmp_path / "file" / "a.nii")
    (tmp_path / "a.nii").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        save_image(image(), tmp_path / "a.nii")
    assert caught.value.filename == str(tmp_path / "a.nii")
    assert names(tmp_path) == ["a.nii", "file"]
