"""GANs made to learn from few pairs, each in the paper's way and the released one.

All four are the Wasserstein GAN of `mri2pet.baselines.gan` with something added. Three
begin with a *source stage*: the same GAN learns from many MRIs to make the MRI itself,
resampled to the PET's grid. What differs from the released code is a switch by name,
and every default is the method as its authors meant it.

=================  =======================================================  =========
Recipe             What it adds                                             Source
=================  =======================================================  =========
CdcRecipe          generated PETs resemble one another as in the source     generator
DclRecipe          each generated PET is nearest to its own source image    generator
DiffAugmentRecipe  the critic sees all PETs in other brightness and place   none
MaskGanRecipe      CDC, and a critic that sees a part of its input          both
=================  =======================================================  =========
"""

from mri2pet.baselines.few_shot.cdc import CdcRecipe
from mri2pet.baselines.few_shot.dcl import DclRecipe
from mri2pet.baselines.few_shot.diffaugment import DiffAugmentRecipe
from mri2pet.baselines.few_shot.maskgan import MaskGanRecipe

__all__ = ["CdcRecipe", "DclRecipe", "DiffAugmentRecipe", "MaskGanRecipe"]
