"""Who has amyloid: the label of every question about positivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mri2pet.evaluation.uptake import POSITIVITY_SUVR

if TYPE_CHECKING:
    from mri2pet.cohort.store import Store


def amyloid_status(store: Store, real_composite: pd.Series) -> pd.Series:
    """Amyloid status of some scans.

    Parameters
    ----------
    store : Store
    real_composite : Series indexed by scan_id
        Composite SUVR of the real PETs.

    Returns
    -------
    Series of bool, indexed likewise
        Of phantoms the latent truth, A > 0.5; of real people whether the composite
        lies above 1.11.
    """
    if store.truth is not None:
        return store.truth["status"].loc[real_composite.index].astype(bool)
    return real_composite > POSITIVITY_SUVR
