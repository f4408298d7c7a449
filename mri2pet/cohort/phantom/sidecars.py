"""What the JSON files and the README of a raw phantom dataset say.

Scanners, doses and times are nominal values of an AV45 study [Joshi12], the same for
everybody, and every sidecar says in Manufacturer that the image is simulated. What has
no meaning without a scanner (count rates) or does not apply (infusion, other drugs) is
left out. Field names are those of BIDS and PET-BIDS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mri2pet
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom import raw_constants as r

BIDS_VERSION = "1.10.0"
_DOSE_MBQ, _MOLAR_ACTIVITY = 370.0, 100.0  # MBq, GBq/umol
_MOLECULAR_WEIGHT = 360.4  # g/mol, C20H25FN2O3
_BODY_KG = 75.0
_HALF_LIFE_S = 109.77 * 60  # of fluorine-18
_SCANNER = {
    "Manufacturer": "none: simulated by mri2pet",
    "ManufacturersModelName": "digital phantom",
    "DeviceSerialNumber": "0",
    "SoftwareVersions": f"mri2pet {mri2pet.__version__}",
    "InstitutionName": "none: simulated people",
    "InstitutionAddress": "n/a",
    "InstitutionalDepartmentName": "n/a",
    "BodyPart": "HEAD",
}


def t1() -> dict[str, Any]:
    """Sidecar of a T1: a nominal MPRAGE."""
    return _SCANNER | {
        "MagneticFieldStrength": 3.0,
        "PulseSequenceType": "MPRAGE",
        "ScanningSequence": "GR_IR",
        "SequenceVariant": "SP_MP",
        "MRAcquisitionType": "3D",
        "RepetitionTime": 2.3,
        "EchoTime": 0.00298,
        "InversionTime": 0.9,
        "FlipAngle": 9.0,
        "NonlinearGradientCorrection": True,
    }


def pet(frames: int) -> dict[str, Any]:
    """Sidecar of an AV45 PET.

    Parameters
    ----------
    frames : int
    """
    starts = r.FRAMES_FROM + r.FRAME_SECONDS * np.arange(frames)
    mass_g = _DOSE_MBQ / 1e3 / _MOLAR_ACTIVITY * _MOLECULAR_WEIGHT * 1e-6
    return _SCANNER | {
        "Units": "Bq/mL",
        "TracerName": "AV45",
        "TracerRadionuclide": "F18",
        "TracerSNOMED": "C-E0269",
        "TracerMolecularWeight": _MOLECULAR_WEIGHT,
        "TracerMolecularWeightUnits": "g/mol",
        "ModeOfAdministration": "bolus",
        "InjectedRadioactivity": _DOSE_MBQ,
        "InjectedRadioactivityUnits": "MBq",
        "InjectedMass": round(mass_g * 1e6, 4),
        "InjectedMassUnits": "ug",
        "InjectedMassPerWeight": round(mass_g * 1e6 / _BODY_KG, 6),
        "InjectedMassPerWeightUnits": "ug/kg",
        "InjectedVolume": 10.0,
        "Purity": 98.0,
        "SpecificRadioactivity": float(f"{_DOSE_MBQ * 1e6 / mass_g:.4g}"),
        "SpecificRadioactivityUnits": "Bq/g",
        "SpecificRadioactivityMeasTime": "10:00:00",
        "MolarActivity": _MOLAR_ACTIVITY,
        "MolarActivityUnits": "GBq/umol",
        "MolarActivityMeasTime": "10:00:00",
        "TimeZero": "10:00:00",
        "InjectionStart": 0,
        "InjectionEnd": 10,
        "ScanStart": int(starts[0]),
        "FrameTimesStart": starts.tolist(),
        "FrameDuration": [r.FRAME_SECONDS] * frames,
        "AcquisitionMode": "list mode",
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "DecayCorrectionFactor": [round(float(f), 5) for f in _decay(starts)],
        "ReconMethodName": "none: simulated images",
        "ReconMethodParameterLabels": ["none"],
        "ReconMethodParameterUnits": ["none"],
        "ReconMethodParameterValues": [0],
        "ReconMethodImplementationVersion": mri2pet.__version__,
        "ReconFilterType": "Gaussian",
        "ReconFilterSize": k.PSF_FWHM,
        "AttenuationCorrection": "none needed: simulated images",
        "AttenuationCorrectionMethodReference": "n/a",
        "ScaleFactor": [1.0] * frames,
        "ScatterFraction": [0.0] * frames,
        "DoseCalibrationFactor": 1.0,
    }


def _decay(starts_s: np.ndarray) -> np.ndarray:
    """What frames were multiplied by to undo the decay since the injection."""
    rate = np.log(2) / _HALF_LIFE_S
    left = np.exp(-rate * starts_s) - np.exp(-rate * (starts_s + r.FRAME_SECONDS))
    return rate * r.FRAME_SECONDS / left


def _made_by() -> list[dict[str, str]]:
    text = "Simulated people: digital phantoms with known truth. Nobody here is real."
    return [{"Name": "mri2pet", "Version": mri2pet.__version__, "Description": text}]


def description() -> dict[str, Any]:
    """dataset_description.json of the dataset."""
    return {
        "Name": "Digital phantoms: simulated people with MRI and AV45 PET",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["The mri2pet authors"],
        "Keywords": ["simulated", "phantom", "T1w", "PET", "amyloid", "AV45"],
        "GeneratedBy": _made_by(),
    }


def truth_description() -> dict[str, Any]:
    """dataset_description.json of derivatives/truth."""
    return {
        "Name": "What is true of the simulated people",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": "CC0",
        "GeneratedBy": _made_by(),
        "SourceDatasets": [{"URL": "../../"}],
    }


def brain_mask() -> dict[str, Any]:
    """Sidecar of the true brain masks."""
    return {
        "Type": "Brain",
        "Description": "True brain on the grid of the T1w image",
        "SpatialReference": "orig",
    }


# BIDS has no names for these.
TRUTH_IGNORED = "truth.tsv\n*_xfm.json\n"
TRUTH_README = """\
What is true of the simulated people
====================================

- `truth.tsv`: latent disease, volumes (mL) and noise-free regional SUVR of every scan,
  also with no amyloid (`suvr0_*`) and with a load of 1 (`suvr1_*`)
- `*_desc-brain_mask.nii.gz`: the brain on the grid of the T1w image
- `*_xfm.json`: maps between millimetres (RAS), 4 x 4, to be multiplied from the left:
  `box_from_t1` and `box_from_pet` (its first frame) lead from the images to the box of
  MNI152, `first_from_frame` from every frame of the PET to the first
"""


_AGE = {"Description": "Age at the first session", "Units": "year"}
PARTICIPANTS = {
    "age": _AGE,
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "education": {"Description": "Years of education", "Units": "year"},
    "apoe_e4": {
        "LongName": "APOE e4 alleles",
        "Description": "Number of e4 alleles of the APOE gene",
        "Levels": {"0": "none", "1": "one", "2": "two"},
    },
}
SESSIONS = {
    "days": {"Description": "Days since the first session", "Units": "day"},
    "age": _AGE | {"Description": "Age at the session"},
    "diagnosis": {
        "Description": "Clinical diagnosis; n/a where the study has none",
        "Levels": {
            "CN": "cognitively normal",
            "MCI": "mild cognitive impairment",
            "AD": "dementia of Alzheimer type",
        },
    },
    "mmse": {
        "LongName": "Mini-Mental State Examination",
        "Description": "Score, 0 to 30; n/a where the study has none",
    },
}


def readme(people: int, scans: int, pets: int, spec: dict[str, Any]) -> str:
    """README of the dataset.

    Parameters
    ----------
    people, scans, pets : int
        How many there are.
    spec : dict
        What the dataset was made with.
    """
    truth = "What is true of them was not written."
    if spec["truth"]:
        truth = """\
`derivatives/truth` holds what is true of every scan: `truth.tsv` (latent disease,
volumes, noise-free regional SUVR), the brain on the grid of the T1w image, and how the
head lay in both scanners (`xfm.json`: maps of millimetres, RAS; `box_from_t1` leads
from the T1w image to the box of MNI152)."""
    frames = spec["frames"]
    kind = (
        f"PETs of {frames} frames in Bq/mL,\nbetween which the head moves"
        if frames > 1
        else "static PETs in Bq/mL"
    )
    return f"""Digital phantoms: simulated people with MRI and AV45 PET
=========================================================

{people} simulated people, {scans} T1-weighted MRIs, {pets} PETs. Nobody here is real:
brains are warped from the MNI152 template, heads and scanners are modelled, and so are
age, diagnosis and scores. Nothing in it says anything about patients.

The images are raw: whole heads that lie turned in the scanner, T1w images with a bias
field and axes in any order, {kind}. Doses, times
and sequences of the sidecars are nominal.

{truth}

Made by mri2pet {spec["version"]}; all its arguments are in `code/phantom.json`.
"""
