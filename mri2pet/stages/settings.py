"""The ten settings of Tables 2 and 3, and the variants that explain them.

A setting says which images go in and whose they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri2pet.run import Run

TARGETS = ("diagnosis", "mmse_20", "mmse")
COVARIATES = ("age", "sex", "education", "apoe_e4")


@dataclass(frozen=True)
class Setting:
    """What a classifier is given.

    Attributes
    ----------
    images : tuple of "mri" and "pet"
    pet : {"", "real", "generated"}
        PETs of the paired people in training; tests are always on real images.
    more : bool
        People with an MRI only learn too, with a synthetic PET where one is needed.
    covariates : bool
        Age, sex, education and APOE.
    """

    images: tuple[str, ...]
    pet: str = ""
    more: bool = False
    covariates: bool = False

    @property
    def synthetic(self) -> bool:
        """Whether a generator has a part in it."""
        return self.pet == "generated" or (self.more and "pet" in self.images)


SETTINGS = {
    "real_mri": Setting(("mri",), more=True),
    "real_limited_mri": Setting(("mri",)),
    "real_pet": Setting(("pet",), "real"),
    "generated_pet": Setting(("pet",), "generated"),
    "real_paired": Setting(("mri", "pet"), "real"),
    "augmented_paired": Setting(("mri", "pet"), "real", more=True),
    "augmented_pet": Setting(("pet",), "real", more=True),
    "synthetic_paired": Setting(("mri", "pet"), "generated"),
    "covariates": Setting((), more=True, covariates=True),
    "mri_covariates": Setting(("mri",), more=True, covariates=True),
}
# Drawn over the number of labelled people, and over rho.
OVER_PEOPLE = ("covariates", "real_mri", "real_pet", "augmented_paired")
OVER_RHO = ("real_pet", "augmented_pet", "augmented_paired")
# A PET that is the same for everybody, where a synthetic one would stand.
TEMPLATE = "template_pet"


@dataclass(frozen=True)
class Arm:
    """A setting with its generator's design and what else differs."""

    setting: str
    design: str = ""
    variant: str = ""
    way: str = ""  # of cross-fitting
    fraction: float = 1.0
    rho: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Setting, design, variant."""
        return self.setting, self.design, self.variant


def arms(run: Run) -> list[Arm]:
    """Return the ten settings and the variants that explain them.

    People of a store that the run has adopted are not made again with another rho.
    """
    plan = run.profile.downstream
    main = plan.designs[0]
    found = [
        Arm(name, design)
        for name, setting in SETTINGS.items()
        for design in (plan.designs if setting.synthetic else ("",))
    ]
    for name, setting in SETTINGS.items():
        if setting.pet == "generated":
            found.append(Arm(name, main, "no_crossfit", way="no_crossfit"))
        elif setting.synthetic:
            found.append(Arm(name, main, TEMPLATE))
            if plan.fold_pretraining:
                way = "pretrain_crossfit"
                found.append(Arm(name, main, way, way=way))
    for name in OVER_PEOPLE:
        design = main if SETTINGS[name].synthetic else ""
        found += [
            Arm(name, design, f"labelled={f:g}", fraction=f) for f in plan.fractions
        ]
    rhos = run.profile.rhos if run.profile.store is None else ()
    for name in OVER_RHO:
        design = "corrected" if SETTINGS[name].synthetic else ""
        found += [Arm(name, design, f"rho={r:g}", rho=r) for r in rhos]
    return found
