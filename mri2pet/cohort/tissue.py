"""Grey and white matter of a T1 from its intensities.

The brain's voxels are mixtures of CSF, grey and white matter whose mean signals a
Gaussian mixture finds; between two means a voxel holds the share that a straight line
says (Santago and Gage 1993).
"""

from __future__ import annotations

import numpy as np

_SAMPLE = 40_000  # voxels that the mixture is fitted to
_FIRST = (0.05, 0.4, 0.8)  # quantiles: first guesses of the means


def tissue_shares(t1: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of grey and white matter.

    Parameters
    ----------
    t1 : ndarray
        Bias-corrected signal.
    brain : ndarray of bool, same shape

    Returns
    -------
    gm, wm : ndarray, float32, same shape
        In [0, 1], 0 outside the brain; the rest of the brain is CSF.

    Raises
    ------
    ValueError
        The brain has no three tissues of different signal.
    """
    from sklearn.mixture import GaussianMixture

    inside = t1[brain].astype(float)
    sample = inside[:: max(1, inside.size // _SAMPLE), None]
    if sample.size < 1000 or not sample.std() > 0:
        raise ValueError(f"the brain has {inside.size} voxels or no contrast")
    mixture = GaussianMixture(
        3,
        means_init=np.quantile(sample, _FIRST)[:, None],
        covariance_type="spherical",
        random_state=0,
        reg_covar=1e-6 * sample.var(),
    ).fit(sample)
    csf, gm, wm = np.sort(mixture.means_.ravel())
    grey_or_more = np.clip((t1 - csf) / max(gm - csf, 1e-6), 0.0, 1.0)
    white = np.clip((t1 - gm) / max(wm - gm, 1e-6), 0.0, 1.0)
    white = white * brain
    grey = (grey_or_more - white).clip(0.0, 1.0) * brain
    return grey.astype(np.float32), white.astype(np.float32)
