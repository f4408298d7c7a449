"""DICOM folders to NIfTI, by dcm2niix where it is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

TIMEOUT_S = 600


def nifti_of(path: str | Path, work: str | Path) -> Path:
    """Return the NIfTI file of an image, converting a folder of DICOM files.

    Parameters
    ----------
    path : str or Path
        A NIfTI file (returned as it is) or a folder.
    work : str or Path
        Where a converted image goes.

    Raises
    ------
    ValueError
        dcm2niix is missing, fails, or makes no image; several are told apart by size,
        and the largest is taken.
    """
    path, work = Path(path), Path(work)
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(f"{path}: there is no such image")
    program = shutil.which("dcm2niix")
    if program is None:
        raise ValueError(
            f"{path}: DICOM files need dcm2niix, which is not installed; install it "
            "(Debian: apt install dcm2niix) or convert them to NIfTI first"
        )
    work.mkdir(parents=True, exist_ok=True)
    command = [program, "-z", "y", "-b", "y", "-f", "image", "-o", str(work), str(path)]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that all it starts can be stopped with it
    )
    try:
        said, _ = running.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        raise ValueError(f"{path}: dcm2niix took more than {TIMEOUT_S} s") from None
    made = sorted(work.glob("*.nii.gz"), key=lambda p: p.stat().st_size)
    if not made:
        last = said.strip().splitlines()[-1:]
        raise ValueError(f"{path}: dcm2niix made no image ({' '.join(last)})")
    return made[-1]
