"""500 damaged files: each is read or refused in one line, in bounded time and memory.

They are read in one process of their own, so that its memory can be limited and nothing
but its report may appear. A case depends on its seed only; `python test_fuzz.py FOLDER
SEED` reads one again.
"""

import gzip
import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from image_files import content, pet_data

import mri2pet
from mri2pet.cohort.images import read_image

CASES, SECONDS, BYTES = 500, 2, 2 * 10**9
FLOATS = [0.0, -1.0, np.nan, np.inf, -np.inf, 1e-3, 1e3, 1e30, -1e38, 1e-40, 0.5, 20.0]
WHOLE = [-32768, -1, 0, 1, 2, 7, 8, 16, 64, 590, 600, 3000, 32767]
PLACES = ["pixdim", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d"]
PLACES += ["qoffset_x", "qform_code", "sform_code"]
OTHERS = ["scl_slope", "scl_inter", "vox_offset", "xyzt_units", "magic", "sizeof_hdr"]


class TooSlowError(BaseException):
    """Not an Exception, so that nothing on the way can take it for damage."""


def flip(rng, data, start, stop, most):
    data = bytearray(data)
    for _ in range(rng.integers(1, most + 1)):
        data[rng.integers(start, min(stop, len(data)))] = rng.integers(256)
    return bytes(data)


def changed(rng, field):
    """A field of the header, as it is, with some of its elements replaced."""
    flat = field.reshape(-1)
    for _ in range(rng.integers(1, 3)):
        if field.dtype.kind == "f":
            value = rng.choice(FLOATS)
        elif field.dtype.kind == "S":
            value = rng.bytes(3)
        else:
            value = rng.choice(WHOLE) & (255 if field.dtype.itemsize == 1 else -1)
        flat[rng.integers(flat.size)] = value
    return flat.reshape(field.shape)


def with_fields(rng, data, order, names):
    import nibabel as nib

    header = nib.Nifti1Header(data[:348], order, check=False)
    for name in rng.choice(names, rng.integers(1, min(3, len(names)) + 1)):
        with np.errstate(all="ignore"):
            header[name] = changed(rng, np.array(header[name]))
    return header.binaryblock + data[348:]


def case(seed):
    """Bytes, name and kind of one damaged file."""
    rng = np.random.default_rng(seed)
    kind = ["T1", "PET"][rng.integers(2)]
    order = "<>"[rng.integers(2)]
    data = content(pet_data() if kind == "PET" else None, order=order)
    damage, packed = seed % 9, bool(rng.integers(2))
    if damage == 0:
        data = flip(rng, data, 0, 348, 8)
    elif damage == 1:
        data = data[: rng.integers(len(data))]
    elif damage == 2:
        data = flip(rng, data, 348, len(data), 40)
    elif damage == 4:
        data = with_fields(rng, data, order, ["dim"])
    elif damage == 5:
        data = with_fields(rng, data, order, ["datatype", "bitpix"])
    elif damage == 6:
        data = with_fields(rng, data, order, PLACES)
    elif damage == 7:
        data = with_fields(rng, data, order, OTHERS)
    elif damage == 8:
        data = with_fields(rng, data, order, ["dim", *PLACES, *OTHERS, "datatype"])
    if damage == 3 or packed:
        data = gzip.compress(data, 1, mtime=0)
        packed = True
    if damage == 3:
        how = rng.integers(3)
        if how == 0:
            data = flip(rng, data, 0, len(data), 3)
        elif how == 1:
            data = data[: rng.integers(len(data))]
        else:
            data += rng.bytes(rng.integers(1, 50))
    return data, "a b.nii.gz" if packed else "a b.nii", kind


def outcome(seed, folder):
    """Say "read", the refusal without its numbers, or raise what is wrong."""
    data, name, kind = case(seed)
    path = Path(folder, name)
    path.write_bytes(data)
    try:
        raw = read_image(path, kind)
    except ValueError as error:
        text = str(error)
        assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 400
        assert "memory" not in text
        return re.sub(r"[-+]?(\d[\d.,e+]*|nan|inf)", "#", text.split(": ", 1)[1])[:40]
    assert np.isfinite(raw.data).all() and raw.data.dtype == np.float32
    assert raw.data.ndim in ((3,) if kind == "T1" else (3, 4))
    assert np.isfinite(raw.affine).all() and raw.affine.shape == (4, 4)
    assert all("\n" not in remark for remark in raw.remarks)
    return "read"


def main(folder, seeds):
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))

    def stop(*_):
        raise TooSlowError

    signal.signal(signal.SIGALRM, stop)
    found = {}
    for seed in seeds:
        signal.alarm(SECONDS)
        try:
            found[seed] = outcome(seed, folder)
        except BaseException as error:  # noqa: BLE001 - each kind is a failure here
            found[seed] = f"FAILED {type(error).__name__}: {error}"
        signal.alarm(0)
    sys.stdout.write(json.dumps(found))


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    roots = [Path(mri2pet.__file__).parents[1], Path(__file__).parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots))}
    ran = subprocess.run(
        [sys.executable, "-W", "always", __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    failed = {seed: said for seed, said in found.items() if "FAILED" in said}
    assert not failed, f"by seed: {failed}"
    assert len(found) == CASES
    # Had the damage been too small or too great, nothing would have been tried.
    read = sum(said == "read" for said in found.values())
    assert 50 < read < CASES - 200
    assert len(set(found.values())) > 20


if __name__ == "__main__":
    main(sys.argv[1], [int(n) for n in sys.argv[2:]] or range(CASES))
