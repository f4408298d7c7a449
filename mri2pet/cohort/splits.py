"""Splits of scans into train, val and test, by patient or (as published) by pair.

A patient split keeps every scan of a person in one part. A pair split deals scans out
one by one, so that people with several visits end up on both sides: the leak of the
released code, kept here to be shown.
"""

import numpy as np
import pandas as pd

PARTS = ("train", "val", "test")


def patient_split(scans, fractions=None, *, counts=None, seed, stratify="diagnosis"):
    """Assign people, with all their scans, to parts.

    Parameters
    ----------
    scans : pandas.DataFrame
        With ``participant_id`` and the column ``stratify``.
    fractions : tuple of float, optional
        Shares of people for train, val and test, summing to 1.
    counts : tuple of int, optional
        People for train, val and test, instead; ``None`` for one of them means the
        rest.
    seed : int
    stratify : str or None
        Column of the person's first scan whose shares every part keeps.

    Returns
    -------
    pandas.Series
        Part of each scan, indexed like ``scans``.

    Raises
    ------
    ValueError
        If the shares do not sum to 1 or the counts exceed the people.

    Notes
    -----
    People are ordered within each stratum by a hash-like draw that depends on the seed
    and the participant alone, so a person who is added or removed moves few others.
    """
    first = _first_scans(scans)
    numbers = _numbers(len(first), fractions, counts)
    order = _stratified_order(first, seed, stratify)
    parts = _cut(order, numbers)
    return scans["participant_id"].map(parts).rename("part")


def pair_split(scans, fractions=None, *, counts=None, seed):
    """Assign scans one by one, whoever they belong to (``split: pair``).

    Parameters and result as :func:`patient_split`, the numbers counting scans.
    """
    numbers = _numbers(len(scans), fractions, counts)
    draws = [_draw(seed, scan) for scan in scans.index]
    order = list(scans.index[np.argsort(draws, kind="stable")])
    parts = _cut(order, numbers)
    return pd.Series([parts[s] for s in scans.index], index=scans.index, name="part")


def leaks(scans_a, scans_b):
    """Participants who have scans in both tables, sorted."""
    shared = set(scans_a["participant_id"]) & set(scans_b["participant_id"])
    return sorted(shared)


def copies(scans):
    """Volumes that stand in more than one part, whatever they are called.

    Parameters
    ----------
    scans : pandas.DataFrame
        Indexed by scan, with ``part`` and the hashes of the volumes
        (``mri_sha256``, ``pet_sha256``; a column that is absent is not looked at).

    Returns
    -------
    list of tuple (str, list of str)
        Kind of volume, "mri" or "pet", and the scans that share one, in the order of
        the table.

    Examples
    --------
    >>> scans = pd.DataFrame(
    ...     {"part": ["train", "test"], "mri_sha256": ["0a", "0a"]}, index=["s1", "s2"]
    ... )
    >>> copies(scans)
    [('mri', ['s1', 's2'])]
    """
    found = []
    for kind in ("mri", "pet"):
        if f"{kind}_sha256" not in scans:
            continue
        known = scans.dropna(subset=f"{kind}_sha256")
        for _, same in known.groupby(f"{kind}_sha256", sort=False):
            if same["part"].nunique() > 1:
                found.append((kind, list(same.index)))
    return found


def check_no_leak(scans):
    """Refuse a cohort in which a part knows a person or a volume of another part.

    A person may have MRIs for pre-training and pairs for training: a network learns
    from both.

    Parameters
    ----------
    scans : pandas.DataFrame
        Indexed by scan, with ``participant_id``, ``part`` and, where known, the
        hashes of the volumes.

    Raises
    ------
    ValueError
        A participant stands in more than one part, or one part holds a copy of
        another part's volume under a new name. The message names the scans.
    """
    side = scans["part"].replace("unpaired", "train")
    parts = side.groupby(scans["participant_id"]).nunique()
    both = sorted(parts.index[parts > 1])
    if both:
        theirs = scans[scans["participant_id"] == both[0]]
        raise ValueError(
            f"{len(both)} participants are in more than one part, first {both[0]} "
            f"({_placed(theirs)}); split by patient"
        )
    copied = copies(scans)
    if copied:
        kind, names = copied[0]
        raise ValueError(
            f"{len(copied)} volumes are in more than one part, first the {kind} of "
            f"{_placed(scans.loc[names])}; keep one scan of each"
        )


def _placed(scans):
    """Scans with the part they are in, for a message."""
    return ", ".join(f"{scan} in {part}" for scan, part in scans["part"].items())


def _first_scans(scans):
    ordered = scans.sort_values(["participant_id", "days"], kind="stable")
    return ordered.drop_duplicates("participant_id").set_index("participant_id")


def _draw(seed, name):
    """A number in [0, 1) from the seed and a name alone."""
    words = np.frombuffer(str(name).encode().ljust(-(-len(str(name)) // 4) * 4), "<u4")
    sequence = np.random.SeedSequence([int(seed), *(int(w) for w in words)])
    return float(sequence.generate_state(1, np.uint64)[0]) / 2**64


def _numbers(total, fractions, counts):
    """Members of train, val and test."""
    if (fractions is None) == (counts is None):
        raise ValueError("give either fractions or counts")
    if counts is None:
        if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
            raise ValueError(
                f"fractions are three shares summing to 1; got {fractions}"
            )
        val, test = (round(total * f) for f in fractions[1:])
        counts = (total - val - test, val, test)
    counts = list(counts)
    if len(counts) != 3 or counts.count(None) > 1:
        raise ValueError(f"counts are three numbers, one may be None; got {counts}")
    if None in counts:
        counts[counts.index(None)] = total - sum(c for c in counts if c is not None)
    if min(counts) < 0 or sum(counts) > total:
        raise ValueError(f"counts {counts} do not fit {total} members")
    return counts


def _stratified_order(first, seed, stratify):
    """People such that every stretch holds the strata in nearly their shares."""
    draws = pd.Series([_draw(seed, p) for p in first.index], index=first.index)
    if stratify is None:
        return list(draws.sort_values(kind="stable").index)
    if stratify not in first:
        raise ValueError(f"no column {stratify!r} to stratify by")
    place = pd.Series(0.0, index=first.index)
    for _, group in first.groupby(stratify, dropna=False):
        rank = draws[group.index].rank(method="first")
        # The k-th of n stands at (k - 1/2) / n of the list, whatever the stratum.
        place[group.index] = (rank - 0.5) / len(group)
    return list(place.index[np.lexsort((draws.to_numpy(), place.to_numpy()))])


def _cut(order, numbers):
    """Deal a list out evenly: test and val are spread over the whole of it."""
    parts = {}
    for part, count in (("test", numbers[2]), ("val", numbers[1])):
        free = [name for name in order if name not in parts]
        if count:
            step = len(free) / count
            for i in range(count):
                parts[free[int((i + 0.5) * step)]] = part
    free = [name for name in order if name not in parts]
    parts.update(dict.fromkeys(free[: numbers[0]], "train"))
    return parts
