"""MRI2PET: 3-D diffusion from T1-weighted MRI to amyloid PET, with its controls.

The slim core is `CORE`. It needs torch, numpy and pydantic only and imports nothing of
the rest. Its main names are available here and are imported at first use.

Examples
--------
>>> import mri2pet
>>> mri2pet.NoiseSchedule()
NoiseSchedule(1000, 0.0015, 0.02)
"""

from importlib import import_module

__version__ = "0.1.0"

# Modules of the slim core, in the order of reading.
CORE = (
    "model",
    "denoiser",
    "blocks",
    "attention",
    "schedule",
    "samplers",
    "loss",
    "style",
    "vgg",
    "synthesis",
    "checks",
)
_HOME = {
    "PublishedUNet": "model",
    "SpatialUNet": "model",
    "NoiseSchedule": "schedule",
    "sample": "samplers",
    "diffusion_loss": "loss",
    "laplacian_loss": "loss",
    "laplacian_pyramid": "loss",
    "VGG19Features": "style",
    "style_transfer": "style",
    "PetScale": "synthesis",
    "synthesize": "synthesis",
}

__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
