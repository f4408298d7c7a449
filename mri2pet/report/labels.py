"""What readers see for a row or a metric: its name, and in which order they stand."""

from __future__ import annotations

# Order and names of the rows of Table 1, controls first.
ROW_LABELS = {
    "mean_template": "Mean template",
    "nearest_subject": "Nearest training person",
    "random_subject": "Random training person",
    "regression_unet": "Regression U-Net",
    "mri2pet": "MRI2PET",
    "mri2pet_published": "MRI2PET, published network",
    "no_style": "w/o Style Transfer",
    "self_pretrained": "Self-pretrained",
    "no_pretraining": "w/o Pre-Training",
    "no_loss": "w/o Loss",
    "vanilla": "Vanilla Diffusion",
    "gan": "GAN",
    "cdc": "CDC",
    "dcl": "DCL",
    "diffaugment": "DiffAugment",
    "maskgan": "MaskGAN",
    "ddpm_pa": "DDPM-PA",
}

# (metric, region): heading, digits, is more better (None: 1 is best)
METRIC_LABELS = {
    ("ssim", "brain"): ("SSIM, brain", 3, True),
    ("ssim", "whole"): ("SSIM, whole", 3, True),
    ("psnr", "brain"): ("PSNR, brain [dB]", 1, True),
    ("psnr", "whole"): ("PSNR, whole [dB]", 1, True),
    ("mae", "brain"): ("MAE, brain [SUVR]", 3, False),
    ("hf_ratio", "brain"): ("Detail, brain (real = 1)", 2, None),
    ("fid_random", "whole"): ("Frechet, random features", 1, False),
    ("suvr_error", "composite"): ("Composite error [SUVR]", 3, False),
    ("suvr_r", "composite"): ("Composite r across people", 2, True),
    ("positivity_auc", "composite"): ("Positivity AUC", 2, True),
}
PAPER_LABELS = {
    "ssim": ("SSIM, paper (ADNI)", 3),
    "psnr": ("PSNR [dB], paper (ADNI)", 2),
    "fid": ("FID-Inception, paper (ADNI)", 1),
}


def spoken(row: str) -> str:
    """Name of a control inside a sentence.

    Examples
    --------
    >>> spoken("regression_unet")
    'regression U-Net'
    """
    return ROW_LABELS[row].lower().replace("u-net", "U-Net")
