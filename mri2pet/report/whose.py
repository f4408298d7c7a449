"""Whose pictures a chapter shows: phantoms, or the people of a cohort that was given.

The text of the chapters speaks of the book's phantoms. On another cohort the banner
says how to read it; what needs a known truth is shown on phantoms and marked as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mri2pet.stages.cohort import cohort

if TYPE_CHECKING:
    from mri2pet.run import Run

TITLE = "Phantoms, not your cohort"


def are_phantoms(run: Run) -> bool:
    """Whether the people of a run are simulated: only then their truth is known."""
    return run.profile.store is None or cohort(run).truth is not None


def whose(run: Run, phantoms: str, people: str) -> str:
    """Return the words for phantoms, or those for people of whom no truth is known."""
    return phantoms if are_phantoms(run) else people


def data_words(run: Run) -> str:
    """Say in the banner of a chapter whose numbers it shows."""
    if run.profile.store is None:
        return (
            "The people on this page are simulated. They are **phantoms, not ADNI**, "
            "and nothing here says anything about a patient."
        )
    scans = cohort(run).scans
    kind = whose(run, "prepared scans of phantoms", "scans")
    return (
        f"The people on this page come from the store that the profile names: {kind} "
        f"of {scans['participant_id'].nunique()} people. The text was written for the "
        "phantoms of the book, so where it speaks of the phantoms of a run, read: "
        "these people. What needs to know the truth about a person is shown on "
        f"phantoms of the profile, under the heading *{TITLE}*."
    )
