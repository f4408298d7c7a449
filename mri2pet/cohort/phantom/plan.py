"""Who is in a phantom cohort: people per part, visits, labels.

People are numbered in blocks, one per part, so that growing a part changes nobody.
"""

import pandas as pd

from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom import disease

FIRST_PERSON = {"train": 0, "val": 20000, "test": 40000, "unpaired": 60000}
BLOCK = {"train": 20000, "val": 20000, "test": 20000, "unpaired": 40000}


def choose_test(count, *, seed, rho, linked=True, pool=4000):
    """Test people of a small cohort in which every kind of person occurs.

    Candidates are taken in the order of their numbers. Of ``count`` places
    3/8 (rounded up) go to AD, neither more nor fewer; CN and MCI get at least a quarter
    (rounded down) each, and either amyloid status at least one. A candidate is taken
    unless too few places would be left for what is still missing.

    Returns
    -------
    list of int
        Person numbers, ascending.
    """
    if count < 4:
        raise ValueError(f"select_test needs at least 4 test people; got {count}")
    first = FIRST_PERSON["test"]
    people = disease.draw_people(
        range(first, first + pool), seed=seed, rho=rho, linked=linked
    )
    wanted_ad = -(-3 * count // 8)
    chosen, held = [], {"AD": 0, "CN": 0, "MCI": 0, True: 0, False: 0}
    for person, diagnosis, status in zip(
        people.index, people["diagnosis"], people["status"], strict=True
    ):
        trial = dict(held)
        trial[diagnosis] += 1
        trial[bool(status)] += 1
        left = count - len(chosen) - 1
        missing = max(0, wanted_ad - trial["AD"])
        missing += sum(max(0, count // 4 - trial[name]) for name in ("CN", "MCI"))
        statuses = sum(trial[name] == 0 for name in (True, False))
        if trial["AD"] > wanted_ad or max(missing, statuses) > left:
            continue
        chosen.append(int(person))
        held = trial
        if len(chosen) == count:
            return chosen
    raise ValueError(f"no {count} test people among {pool} candidates; change the seed")


def plan(
    *,
    unpaired,
    labelled,
    train,
    val,
    test,
    train_two_visits=0,
    test_two_visits=0,
    rho=k.RHO,
    linked=True,
    seed=0,
    select_test=False,
    select_rho=None,
):
    """Every scan of a cohort, without images.

    The first ``train_two_visits`` people of the training part and the first
    ``test_two_visits`` of the test part have a second visit two or four years later;
    the first ``labelled`` MRI-only people keep their diagnosis and MMSE.

    Returns
    -------
    pandas.DataFrame
        All columns of :func:`disease.draw_people`, with ``person, part, labelled,
        has_pet``, one row per scan.
    """
    counts = {"train": train, "val": val, "test": test, "unpaired": unpaired}
    for name, count in counts.items():
        if not 0 <= count <= BLOCK[name]:
            raise ValueError(f"{name} must lie in 0..{BLOCK[name]}; got {count}")
    for name, count, limit in (
        ("labelled", labelled, unpaired),
        ("train_two_visits", train_two_visits, train),
        ("test_two_visits", test_two_visits, test),
    ):
        if not 0 <= count <= limit:
            raise ValueError(f"{name} must lie in 0..{limit}; got {count}")
    rows = []
    for part, count in counts.items():
        first = FIRST_PERSON[part]
        numbers = list(range(first, first + count))
        if part == "test" and select_test:
            link = rho if select_rho is None else select_rho
            numbers = choose_test(test, seed=seed, rho=link, linked=linked)
        people = disease.draw_people(numbers, seed=seed, rho=rho, linked=linked)
        twice = {"train": train_two_visits, "test": test_two_visits}.get(part, 0)
        if twice:
            returning = people.iloc[:twice]
            years = [
                2.0 * disease.person_generator(seed, p, disease.VISITS).integers(1, 3)
                for p in returning.index
            ]
            people = pd.concat([people, disease.later_visit(returning, years, seed)])
        people = people.reset_index().sort_values(["person", "visit"], kind="stable")
        people["part"] = part
        people["has_pet"] = part != "unpaired"
        rank = people["person"].rank(method="dense")
        people["labelled"] = (part != "unpaired") | (rank <= labelled)
        rows.append(people)
    everyone = pd.concat(rows, ignore_index=True)
    if everyone.empty:
        raise ValueError("the cohort is empty: every part has 0 people")
    return everyone
