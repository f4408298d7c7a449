"""The slim core needs torch, numpy and pydantic only, and costs next to nothing."""

import json
import subprocess
import sys
import time

import pytest

import mri2pet

# Import names of everything in the extras imaging, book, test and scale.
EXTRAS = [
    "scipy",
    "nibabel",
    "nilearn",
    "SimpleITK",
    "zarr",
    "pandas",
    "pyarrow",
    "skimage",
    "sklearn",
    "statsmodels",
    "joblib",
    "lightning",
    "lightning_fabric",
    "tqdm",
    "matplotlib",
    "seaborn",
    "papermill",
    "jupyterlab",
    "jupyter_book",
    "sphinx",
    "IPython",
    "ipykernel",
    "nbformat",
    "nbclient",
    "monai",
    "diffusers",
    "hypothesis",
    "pytest",
    "selenium",
    "playwright",
    "dask",
    "distributed",
    "dask_jobqueue",
    "yaml",
    "torchvision",
    "transformers",
    "PIL",
]
# None in sys.modules makes an import fail, and a probe find nothing, as if absent.
BLOCKER = f"import sys\nsys.modules.update(dict.fromkeys({EXTRAS!r}))\n"


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["", *mri2pet.CORE])
def test_core_imports_with_every_extra_blocked(module):
    name = f"mri2pet.{module}".rstrip(".")
    run(f"{BLOCKER}import {name}")


def test_the_blocker_blocks():
    """So that the test above can fail."""
    done = subprocess.run(
        [sys.executable, "-c", f"{BLOCKER}import scipy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "import of scipy halted" in done.stderr


def test_core_works_with_every_extra_blocked():
    run(
        BLOCKER
        + """
import torch, mri2pet
model = mri2pet.SpatialUNet((4, 8, 8), (8, 16, 16), width=8, channel_mults=(1, 2))
out = mri2pet.synthesize(
    model, mri2pet.NoiseSchedule(), torch.rand(1, 8, 16, 16), prediction="x0",
    pet_scale=mri2pet.PetScale(1.0, 0.5), person_seeds=[1], num_calls=2,
)
assert out.mean_NDHW.shape == (1, 4, 8, 8)
style = torch.rand(1, 2, 8, 8)
mri2pet.style_transfer(style, style.flip(3), mri2pet.VGG19Features(), steps=1)
"""
    )


def test_the_core_imports_nothing_of_the_rest():
    out = run(
        "import sys, json\n"
        + "".join(f"import mri2pet.{m}\n" for m in mri2pet.CORE)
        + "print(json.dumps([m for m in sys.modules if m.startswith('mri2pet.')]))"
    )
    assert set(json.loads(out)) == {f"mri2pet.{m}" for m in mri2pet.CORE}


def test_importing_mri2pet_loads_neither_torch_nor_its_modules():
    out = run("import sys, mri2pet\nprint([m for m in sys.modules if m == 'torch'])")
    assert out.strip() == "[]"


def test_import_time_over_torch():
    """CPU time of the whole core after torch; the best of three, for a busy machine."""
    code = (
        "import torch, numpy, time\nstart = time.process_time()\nimport mri2pet\n"
        + "".join(f"import mri2pet.{m}\n" for m in mri2pet.CORE)
        + "print(time.process_time() - start)"
    )
    deadline, best = time.monotonic() + 60, float("inf")
    for _ in range(3):
        best = min(best, float(run(code)))
        if best < 0.5 or time.monotonic() > deadline:
            break
    assert best < 0.5


def test_lazy_names():
    for name in mri2pet.__all__:
        assert getattr(mri2pet, name) is not None
        assert name in dir(mri2pet)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = mri2pet.no_such_name
