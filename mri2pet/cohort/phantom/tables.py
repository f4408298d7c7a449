"""Tables of a phantom cohort: what a study would know, and what is true."""

import pandas as pd

from mri2pet.cohort.phantom.disease import as_scans


def scan_table(people):
    """What a study would know of every scan.

    Parameters
    ----------
    people : pandas.DataFrame
        Of :func:`mri2pet.cohort.phantom.plan.plan`.

    Returns
    -------
    pandas.DataFrame
        As :func:`mri2pet.cohort.phantom.disease.as_scans`, with ``part, labelled,
        has_pet``; diagnosis and MMSE are missing for people who are not labelled.
    """
    scans = as_scans(people.set_index("person"))
    scans["diagnosis"] = scans["diagnosis"].astype(object)
    scans["mmse"] = scans["mmse"].astype("Int64")
    unknown = ~people["labelled"].to_numpy(bool)
    scans.loc[unknown, ["diagnosis", "mmse"]] = None
    for column in ("part", "labelled", "has_pet"):
        scans[column] = people[column].to_numpy()
    return scans


def truth_table(people, known, scan_ids):
    """What is true of every scan: latents, and measures of the noise-free phantom.

    Parameters
    ----------
    people : pandas.DataFrame
        Of :func:`mri2pet.cohort.phantom.plan.plan`.
    known : list of dict
        What was measured on each scan.
    scan_ids : pandas.Index
        Index of the result.
    """
    measured = pd.DataFrame(known, index=scan_ids)
    if "suvr_positive" in measured:
        measured["suvr_positive"] = measured["suvr_positive"].astype("boolean")
    latent = people.drop(columns=["part", "has_pet", "labelled"])
    latent.index = scan_ids
    return pd.concat([latent, measured], axis=1)
