"""Every constant of the phantom cohort, in one place, with where it comes from.

Tuned on phantoms of training and validation people only (see the calibration test);
the values below were then frozen. Lengths in mm, times in years, uptake relative to
the reference region after the scanner's blur.

Sources
-------
[Jack13] Jack et al., Lancet Neurology 12 (2013): order of the biomarkers' changes.
[Jansen15] Jansen et al., JAMA 313 (2015): amyloid positivity by age, APOE and stage.
[Landau12] Landau et al., Annals of Neurology 72 (2012): florbetapir SUVR, cut 1.11.
[Clark11] Clark et al., JAMA 305 (2011): florbetapir against autopsy, its pattern.
[Joshi12] Joshi et al., J Nucl Med 53 (2012): test-retest and range of florbetapir.
[Fjell09] Fjell et al., Cerebral Cortex 19 (2009): cortical thinning with age.
[Raz05] Raz et al., Cerebral Cortex 15 (2005): regional volume change in ageing.
[Klein09] Klein et al., NeuroImage 46 (2009): spread of brains after linear alignment.
[Gudbjartsson95] Gudbjartsson and Patz, MRM 34 (1995): Rician noise.
[Paper] the replicated paper's Tables 4 and 5: its ADNI participants.
"""

import hashlib
import json
import sys

# --- People [Paper, Jansen15] ------------------------------------------------------
AGE_MEAN, AGE_SD, AGE_RANGE = 71.9, 7.1, (50.0, 95.0)
APOE_FREQUENCY = 0.25  # e4 allele; ADNI is enriched over the population's 0.14
EDUCATION_MEAN, EDUCATION_SD, EDUCATION_RANGE = 16.0, 2.7, (6, 20)  # years
FEMALE = 0.47
RHO = 0.67  # link between amyloid and what an MRI shows

# --- Two disease clocks coupled by a copula [Jack13] -------------------------------
AMYLOID_ON_AGE, AMYLOID_ON_APOE = 0.15, 0.45  # [Jansen15]
PATHWAY_FROM = 0.38  # the share of people who never enter the pathway
TIME_FIRST, TIME_SPAN = -0.15, 1.25  # disease time d over the pathway
AMYLOID_MID, AMYLOID_WIDTH = 0.18, 0.07
AMYLOID_LOAD, AMYLOID_LOAD_SD, AMYLOID_LOAD_MIN = 0.85, 0.18, 0.3
ATROPHY_MID, ATROPHY_WIDTH = 0.55, 0.16  # atrophy lags amyloid
ATROPHY_PER_YEAR, ATROPHY_SD = 0.010, 0.10  # [Fjell09]
OTHER_DISEASE, OTHER_SEVERITY, OTHER_WEIGHT = 0.12, (0.2, 1.0), 0.6
PREMORBID_SD = 0.3  # brains differ before any disease
COGNITION_MID, COGNITION_WIDTH, COGNITION_SD = 0.62, 0.16, 0.10
YEARS_PER_TIME = 16.0  # disease time advances by 1/16 a year
STATUS_FROM = 0.5  # amyloid status: A above this
SUVR_CUT = 1.11  # [Landau12]
CN_BELOW, AD_FROM = 0.066, 0.458  # cuts on c
MMSE_TOP, MMSE_LOSS, MMSE_POWER, MMSE_SD = 29.4, 12.0, 1.3, 1.1
MMSE_PER_YEAR_OF_EDUCATION, MMSE_FEMALE = 0.12, 0.25  # points, inside MMSE_SD
MMSE_RETEST_SD = 0.7  # part of MMSE_SD that is new at every visit

# --- Anatomy [Klein09] -------------------------------------------------------------
SCALE_SD, SCALE_MAX = 0.04, 0.08  # per axis
POSE_MM, POSE_DEGREES = 0.5, 0.5  # left over by the alignment
# Outline, lobes and sulci. The outline's wavelength is long on purpose: as large a
# spread at 60 mm makes skulls that nobody has.
WARP_SPACING = (84.0, 36.0, 9.0)  # spline knots, mm
WARP_SD = (6.4, 2.7, 0.9)
WARP_SYMMETRY = (0.92, 0.6, 0.0)  # share of the variance that both sides have in common
WARP_GRID_MM = 4.0
SQUARINGS = 5
RIBBON_SPACING, RIBBON_SD = 9.0, 0.30  # sulcal depth: share of the edge's tissue
GREY_WHITE_SD = 0.45  # the inner border of the cortex
INSIDE_BOX, DAMPING = 0.996, 0.85  # a brain that leaves the box is made less extreme

# --- Atrophy [Fjell09, Raz05] ------------------------------------------------------
VENTRICLE_MM = 9.0  # peak displacement velocity at V = 1
VENTRICLE_BLUR = 14.0  # FWHM, mm
V_RANGE = (-1.2, 1.2)
THINNING = 0.36  # share of the edge's grey matter lost at V = 1
THINNING_MEDIAL_TEMPORAL = 3.5  # times; about twice the loss in volume
EDGE_BLUR = 5.0  # FWHM in which tissue is called an edge

# --- T1 ----------------------------------------------------------------------------
T1_MEANS = {"csf": 0.26, "gm": 0.63, "wm": 0.87}  # the template's own
T1_TISSUE_SD = 0.05
T1_GAMMA_SD = 0.12
T1_BIAS_SD, T1_BIAS_SPACING = 0.06, 70.0
T1_NOISE = 0.02  # of white matter, Rician [Gudbjartsson95]

# --- AV45 PET [Clark11, Landau12, Joshi12] -----------------------------------------
PSF_FWHM = 7.0
UPTAKE = {
    "gm": 0.77,
    "wm": 1.62,
    "csf": 0.35,
    "scalp": 0.30,
    "cerebellar_gm": 0.92,
    "cerebellar_wm": 1.40,
    "deep_gm": 1.05,
    "brainstem": 1.45,
}
UPTAKE_WM_SD, UPTAKE_GM_SD = 0.08, 0.03  # between people
AMYLOID_UPTAKE = {
    "frontal": 1.26,
    "precuneus_pcc": 1.38,
    "lateral_parietal": 1.26,
    "lateral_temporal": 1.17,
    "medial_temporal": 0.38,
    "occipital": 0.66,
    "motor": 0.60,
    "striatum": 0.75,
    "thalamus": 0.35,
    "rest": 0.75,
}
REGION_GAIN_SD = 0.25
PET_NOISE, PET_NOISE_FWHM = 0.05, 7.0  # relative SD at uptake 1 on the PET grid
SCALP_DISTANCE, SCALP_WIDTH = 8.0, 3.5  # from the brain's surface


def constants_hash(module=None):
    """SHA-256 of the name and value of every constant, here or in another module."""
    found = vars(module or sys.modules[__name__])
    values = {k: v for k, v in found.items() if k.isupper()}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
