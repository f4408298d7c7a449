"""Latent disease model: two coupled clocks, cognition, visits and ceilings.

Amyloid and neurodegeneration run on clocks of their own. A Gaussian copula with
correlation ``rho`` is the only link between amyloid and anything that an MRI shows.
"""

import numpy as np
import pandas as pd

from mri2pet.cohort.phantom import constants as k

# Streams of a person's random numbers; the rest of the package uses the same.
LATENT, RETEST, SHAPE, GAIN, SCANNER, VISITS, RAW = range(7)
DIAGNOSES = ("CN", "MCI", "AD")


def person_generator(seed, person, stream, visit=0):
    """Counter-based generator: person i is the same however many are made."""
    sequence = np.random.SeedSequence([int(seed), int(person), stream, int(visit)])
    return np.random.Generator(np.random.Philox(sequence))


def _normal_cdf(z):
    from scipy.special import ndtr

    return ndtr(z)


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _check_rho(rho):
    if not 0.0 <= rho < 1.0:
        raise ValueError(f"rho must lie in 0 <= rho < 1; got {rho}")
    return float(rho)


def draw_people(indices, *, seed, rho=k.RHO, linked=True):
    """Draw people at their first visit.

    Parameters
    ----------
    indices : iterable of int
        Person numbers, >= 0. A person depends on ``seed`` and the number alone.
    seed : int
    rho : float
        Link between the amyloid and the neurodegeneration clock, 0 <= rho < 1.
    linked : bool
        Whether age and APOE bear on amyloid. With False and ``rho`` 0 nothing else of
        a person says anything about it; what has no part in amyloid is drawn the same.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``person``. Latents: ``z_A, z_N, u_A, u_N, on_pathway_A,
        on_pathway_N, d_A, d_N``, the person's fixed noise terms; states ``A, N, V,
        c``; observations ``age, sex, education, apoe_e4, mmse, diagnosis`` and the
        amyloid ``status`` (A > 0.5); ``visit`` (0) and ``years`` since the first.

    Raises
    ------
    ValueError
        If rho lies outside [0, 1) or an index is negative.
    """
    rho = _check_rho(rho)
    indices = np.asarray(list(indices), dtype=np.int64)
    if indices.size and indices.min() < 0:
        raise ValueError(f"person numbers start at 0; got {indices.min()}")
    normal = np.empty((len(indices), 10))
    uniform = np.empty((len(indices), 5))
    for row, person in enumerate(indices):
        rng = person_generator(seed, person, LATENT)
        normal[row] = rng.standard_normal(10)
        uniform[row] = rng.random(5)
    a, e1, e2, load, n_noise, v_noise, c_noise, edu, fixed, retest = normal.T
    alleles = (uniform[:, 0] < k.APOE_FREQUENCY).astype(int)
    alleles += uniform[:, 1] < k.APOE_FREQUENCY
    on_age, on_apoe = (k.AMYLOID_ON_AGE, k.AMYLOID_ON_APOE) if linked else (0.0, 0.0)
    explained = on_age**2 + on_apoe**2 * (2 * k.APOE_FREQUENCY * (1 - k.APOE_FREQUENCY))
    rest = np.sqrt(1 - explained)
    z_amyloid = (
        on_age * a
        + on_apoe * (alleles - 2 * k.APOE_FREQUENCY)
        + rest * (rho * e1 + np.sqrt(1 - rho**2) * e2)
    )
    low, high = k.OTHER_SEVERITY
    severity = np.where(
        uniform[:, 2] < k.OTHER_DISEASE, low + (high - low) * uniform[:, 3], 0.0
    )
    education = np.clip(
        np.round(k.EDUCATION_MEAN + k.EDUCATION_SD * edu), *k.EDUCATION_RANGE
    )
    people = pd.DataFrame(
        {
            "z_A": z_amyloid,
            "z_N": e1,
            "age": np.clip(k.AGE_MEAN + k.AGE_SD * a, *k.AGE_RANGE),
            "sex": np.where(uniform[:, 4] < k.FEMALE, "F", "M"),
            "education": education.astype(int),
            "apoe_e4": alleles.astype(int),
            "load": np.maximum(
                k.AMYLOID_LOAD + k.AMYLOID_LOAD_SD * load, k.AMYLOID_LOAD_MIN
            ),
            "other_severity": severity,
            "N_noise": k.ATROPHY_SD * n_noise,
            "V_noise": k.PREMORBID_SD * v_noise,
            "c_noise": k.COGNITION_SD * c_noise,
            "mmse_fixed": fixed,
            "mmse_retest": k.MMSE_RETEST_SD * retest,
        },
        index=pd.Index(indices, name="person"),
    )
    for which, z in (("A", z_amyloid), ("N", e1)):
        u = _normal_cdf(z)
        people[f"u_{which}"] = u
        people[f"on_pathway_{which}"] = u > k.PATHWAY_FROM
        people[f"d_{which}"] = k.TIME_FIRST + k.TIME_SPAN * (u - k.PATHWAY_FROM) / (
            1 - k.PATHWAY_FROM
        )
    people["mmse_fixed"] = _fixed_mmse_noise(people)
    people["visit"] = 0
    people["years"] = 0.0
    return _observe(people)


def _fixed_mmse_noise(people):
    """What sex, education and the person add to MMSE; SD with the retest MMSE_SD."""
    education = k.MMSE_PER_YEAR_OF_EDUCATION * (people["education"] - k.EDUCATION_MEAN)
    sex = k.MMSE_FEMALE * (np.where(people["sex"] == "F", 1.0, 0.0) - k.FEMALE)
    known = (k.MMSE_PER_YEAR_OF_EDUCATION * k.EDUCATION_SD) ** 2
    known += k.MMSE_FEMALE**2 * k.FEMALE * (1 - k.FEMALE)
    own = np.sqrt(k.MMSE_SD**2 - k.MMSE_RETEST_SD**2 - known)
    return education + sex + own * people["mmse_fixed"]


def _observe(people):
    """States and observations that follow from the clocks and the noise terms."""
    people = people.copy()
    d_a, d_n = people["d_A"].to_numpy(), people["d_N"].to_numpy()
    on_n = people["on_pathway_N"].to_numpy()
    amyloid = _sigmoid((d_a - k.AMYLOID_MID) / k.AMYLOID_WIDTH) * people["load"]
    people["A"] = np.where(people["on_pathway_A"], amyloid, 0.0)
    other = k.OTHER_WEIGHT * people["other_severity"]
    atrophy = np.where(on_n, _sigmoid((d_n - k.ATROPHY_MID) / k.ATROPHY_WIDTH), 0.0)
    people["N"] = (
        atrophy
        + other
        + k.ATROPHY_PER_YEAR * (people["age"] - k.AGE_MEAN)
        + people["N_noise"]
    )
    people["V"] = people["N"] + people["V_noise"]
    decline = np.where(on_n, _sigmoid((d_n - k.COGNITION_MID) / k.COGNITION_WIDTH), 0.0)
    c = decline + other + people["c_noise"]
    people["c"] = c
    mmse = k.MMSE_TOP - k.MMSE_LOSS * np.maximum(c, 0.0) ** k.MMSE_POWER
    mmse = mmse + people["mmse_fixed"] + people["mmse_retest"]
    people["mmse"] = np.clip(np.round(mmse), 0, 30).astype(int)
    people["diagnosis"] = np.select(
        [c < k.CN_BELOW, c >= k.AD_FROM], ["CN", "AD"], "MCI"
    )
    people["status"] = people["A"] > k.STATUS_FROM
    return people


def later_visit(people, years, seed):
    """The same people some years after their first visit.

    Both clocks advance by years / 16 on their pathways and age by ``years``; the
    test noise of MMSE is new, every other draw is kept, diagnosis is recomputed.

    Parameters
    ----------
    people : pandas.DataFrame
        Of :func:`draw_people`, at visit 0.
    years : float or array of float
        Since the first visit, > 0.
    seed : int
        Of the cohort.

    Returns
    -------
    pandas.DataFrame
        As ``people``, ``visit`` being the whole number of months (so that a visit's
        noise does not depend on how many visits come before it).
    """
    years = np.broadcast_to(np.asarray(years, dtype=float), (len(people),))
    if (people["visit"] != 0).any():
        raise ValueError("later_visit takes people at visit 0")
    if (years <= 0).any():
        raise ValueError(f"a later visit lies after the first; got {years.min()} years")
    later = people.copy()
    months = np.round(12 * years).astype(int)
    later["visit"] = months
    later["years"] = years
    later["age"] = people["age"] + years
    for which in ("A", "N"):
        step = np.where(people[f"on_pathway_{which}"], years / k.YEARS_PER_TIME, 0.0)
        later[f"d_{which}"] = people[f"d_{which}"] + step
    later["mmse_retest"] = [
        k.MMSE_RETEST_SD * person_generator(seed, p, RETEST, m).standard_normal()
        for p, m in zip(people.index, months, strict=True)
    ]
    return _observe(later)


def participant_id(person):
    """BIDS label of a person number."""
    return f"sub-{int(person):05d}"


def as_scans(people):
    """Scan table of visits: BIDS identifiers and what a study would know.

    Indexed by ``scan_id`` such as ``sub-00012_ses-M024``.
    """
    subject = [participant_id(p) for p in people.index]
    session = [f"ses-M{int(v):03d}" for v in people["visit"]]
    scans = pd.DataFrame(
        {
            "participant_id": subject,
            "session_id": session,
            "days": np.round(people["years"].to_numpy() * 365.25).astype(int),
            "age": people["age"].round(2).to_numpy(),
        }
    )
    for column in ("sex", "education", "apoe_e4", "diagnosis", "mmse"):
        scans[column] = people[column].to_numpy()
    scans.index = pd.Index(
        [f"{s}_{v}" for s, v in zip(subject, session, strict=True)], name="scan_id"
    )
    return scans


def draw_visits(
    num_people=150, *, seed, rho=k.RHO, shares=(0.36, 0.30, 0.18, 0.10, 0.06)
):
    """Scan table of people with many visits, without images.

    Parameters
    ----------
    num_people : int
    seed : int
    rho : float
    shares : tuple of float
        Probability of 1, 2, ... yearly visits; the default has mean 2.2.

    Returns
    -------
    pandas.DataFrame
        As :func:`as_scans`, with the latent ``A``, ``V`` and ``status`` added.
    """
    if abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares must sum to 1; they sum to {sum(shares)}")
    people = draw_people(range(num_people), seed=seed, rho=rho)
    edges = np.cumsum(shares)
    visits = np.array(
        [
            1 + np.searchsorted(edges[:-1], person_generator(seed, p, VISITS).random())
            for p in people.index
        ]
    )
    rows = [people]
    for number in range(1, len(shares)):
        again = people[visits > number]
        if len(again):
            rows.append(later_visit(again, float(number), seed))
    everyone = pd.concat(rows).reset_index().sort_values(["person", "visit"])
    everyone = everyone.set_index("person")
    scans = as_scans(everyone)
    return scans.assign(**{c: everyone[c].to_numpy() for c in ("A", "V", "status")})


CEILING_SETS = (
    ("age", "status", ("age",)),
    ("age, APOE", "status", ("age", "apoe_e4")),
    ("V, age", "status", ("V", "age")),
    ("V, age, APOE", "status", ("V", "age", "apoe_e4")),
    ("V, age, MMSE", "status", ("V", "age", "mmse")),
    (
        "all",
        "status",
        ("V", "age", "apoe_e4", "mmse", "sex_F", "education"),
    ),
    ("V, age", "diagnosis", ("V", "age")),
    ("A, age", "diagnosis", ("A", "age")),
    ("all", "diagnosis", ("V", "A", "age", "apoe_e4", "sex_F", "education")),
)


def mmse_ceilings(rho=k.RHO, n=40000, seed=0, lowest=20, information=None):
    """Best correlation with MMSE that each set of information allows.

    As :func:`ceilings`, by regression.

    Parameters
    ----------
    rho : float
    n : int
    seed : int
    lowest : int
        Scores from here on make the region mmse_20.
    information : sequence of str, optional
        Only these sets.

    Returns
    -------
    pandas.DataFrame
        Columns ``information``, ``metric`` (pearson_r), ``region`` (full_range or
        mmse_20), ``value``.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    people = draw_people(range(n), seed=seed, rho=rho)
    people["sex_F"] = (people["sex"] == "F").astype(float)
    rows = []
    for region in ("mmse_20", "full_range"):
        some = people[people["mmse"] >= (lowest if region == "mmse_20" else 0)]
        half = np.arange(len(some)) % 2 == 0
        y = some["mmse"].to_numpy(float)
        for name, target, columns in CEILING_SETS:
            if target != "diagnosis" or not _wanted(information, name):
                continue
            x = some[list(columns)].to_numpy(float)
            r = []
            for train in (half, ~half):
                model = HistGradientBoostingRegressor(
                    max_iter=80, learning_rate=0.08, max_leaf_nodes=12, random_state=0
                ).fit(x[train], y[train])
                r.append(np.corrcoef(model.predict(x[~train]), y[~train])[0, 1])
            rows.append((name, "pearson_r", region, float(np.mean(r))))
    return pd.DataFrame(rows, columns=["information", "metric", "region", "value"])


def _wanted(chosen, name):
    return chosen is None or name in chosen


def ceilings(rho=k.RHO, n=40000, seed=0, target=None, information=None):
    """Best area under the curve that each set of information allows.

    Gradient boosting on the latents, trained on one half and scored on the other,
    then the other way round; diagnosis is the macro mean of one-versus-rest.

    Parameters
    ----------
    rho : float
    n : int
        People drawn.
    seed : int
    target : {"status", "diagnosis"}, optional
        Only this one.
    information : sequence of str, optional
        Only these sets.

    Returns
    -------
    pandas.DataFrame
        Columns ``information``, ``target`` (status or diagnosis), ``auc``.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    people = draw_people(range(n), seed=seed, rho=rho)
    people["sex_F"] = (people["sex"] == "F").astype(float)
    half = np.arange(n) % 2 == 0
    rows = []
    for name, of, columns in CEILING_SETS:
        if target not in (None, of) or not _wanted(information, name):
            continue
        x, y = people[list(columns)].to_numpy(float), people[of].to_numpy()
        scores = []
        for train in (half, ~half):
            model = HistGradientBoostingClassifier(
                max_iter=80, learning_rate=0.08, max_leaf_nodes=12, random_state=0
            ).fit(x[train], y[train])
            p = model.predict_proba(x[~train])
            if of == "status":
                scores.append(roc_auc_score(y[~train], p[:, 1]))
            else:
                scores.append(roc_auc_score(y[~train], p, multi_class="ovr"))
        rows.append((name, of, float(np.mean(scores))))
    return pd.DataFrame(rows, columns=["information", "target", "auc"])
