"""A store of other people: who counts, who is too few, and what is said."""

import pandas as pd
import pytest

from mri2pet.cohort.adopting import (
    LEAST,
    check_people,
    looks_like_store,
    people_of,
    summary,
)


def scans(**counts):
    """A scan table with so many people in each part."""
    lines = [
        {"participant_id": f"{part}{i}", "part": part, "has_pet": part != "unpaired"}
        for part, count in counts.items()
        for i in range(count)
    ]
    frame = pd.DataFrame(lines)
    frame.index = [f"scan{i}" for i in range(len(frame))]
    return frame


def test_people_count_once_and_only_with_what_their_part_needs():
    frame = scans(**LEAST)
    again = frame[frame["part"] == "test"].iloc[:1].rename(index=lambda s: s + "b")
    lost = (
        frame[frame["part"] == "train"]
        .iloc[:1]
        .assign(has_pet=False, participant_id="nobody")
    )
    assert people_of(pd.concat([frame, again, lost])) == LEAST


@pytest.mark.parametrize("part", list(LEAST))
def test_too_few_people_of_a_part_are_one_line(part):
    check_people(scans(**LEAST), "people.zarr")
    with pytest.raises(ValueError, match="people.zarr") as caught:
        check_people(scans(**{**LEAST, part: LEAST[part] - 1}), "people.zarr")
    assert "\n" not in str(caught.value)
    assert f"needs {LEAST[part]}" in str(caught.value)
    without = {k: v for k, v in LEAST.items() if k != part}
    with pytest.raises(ValueError, match="0 people"):
        check_people(scans(**without), "people.zarr")


def test_what_is_a_store(tmp_path):
    assert not looks_like_store(tmp_path)
    assert not looks_like_store(tmp_path / "nothing")
    assert looks_like_store(tmp_path / "nothing.zarr")  # the store says what is wrong
    (tmp_path / "half.partial").mkdir()
    assert looks_like_store(tmp_path / "half")
    (tmp_path / "zarr.json").touch()
    assert looks_like_store(tmp_path)


def test_the_summary_names_what_is_left_out_and_what_is_clipped(tiny_run):
    store = tiny_run.cohort()
    pool = len(store.ids(part="unpaired"))
    enough, clipped = summary(store, pool), summary(store, pool + 3)
    assert f"{pool} unpaired" in enough
    assert "style.volumes" not in enough
    assert f"wants {pool + 3} MRIs" in clipped
    assert f"all {pool} that there are" in clipped
    assert "\n" not in clipped
