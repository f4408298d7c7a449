"""The digital phantom cohort: simulated people whose truth is known."""

from mri2pet.cohort.phantom.making import make_cohort
from mri2pet.cohort.phantom.plan import plan
from mri2pet.cohort.phantom.simulation import simulate

__all__ = ["make_cohort", "plan", "simulate"]
