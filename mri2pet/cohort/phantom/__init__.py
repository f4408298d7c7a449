"""The digital phantom cohort: simulated people whose truth is known."""

from mri2pet.cohort.phantom.making import make_cohort, simulate
from mri2pet.cohort.phantom.plan import plan

__all__ = ["make_cohort", "plan", "simulate"]
