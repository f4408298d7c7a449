"""Constants of the raw scans: the head around the brain, and how it lay in scanners.

They stand apart from `mri2pet.cohort.phantom.constants` because prepared phantoms do
not depend on them. Lengths in mm, times in s. Sources as there, and

[Barkovich00] the order of T1 signals of the head's tissues; values are relative to
    white matter at 0.87.
"""

CSF_RIM_MM, SKULL_MM, SCALP_MM = 3.0, 6.0, (5.0, 8.0)
# mm added to the box: below and above, behind and in front, left and right.
MARGIN_MM = ((64, 24), (24, 24), (24, 24))
UNSEEN_BELOW_MM = 24.0  # the field of view ends in the neck
# T1 signal and AV45 uptake relative to the reference region.
HEAD_LEVELS = {
    "csf": (0.26, 0.35),
    "bone": (0.06, 0.15),
    "marrow": (0.30, 0.30),
    "fat": (0.95, 0.20),
    "skin": (0.50, 0.30),
    "muscle": (0.45, 0.40),
    "eye": (0.15, 0.20),
    "air": (0.02, 0.02),
}
TURN_SD, TURN_MAX = 6.0, 15.0  # degrees about each axis: how a head lies
SHIFT_SD, SHIFT_MAX = 8.0, 20.0  # along each axis
BIAS_SD, BIAS_SPACING = 0.12, 90.0
T1_LEVEL = (400.0, 1200.0)  # arbitrary units of the scanner, white matter
PET_LEVEL = (4000.0, 9000.0)  # Bq/mL in the reference region
# 4 x 5 min from 50 min after the injection [Joshi12].
FRAME_SECONDS, FRAMES_FROM, FRAME_COUNT = 300, 3000, 4
FRAME_CHANGE = 0.985  # uptake from frame to frame
MOTION_MM, MOTION_DEGREES = 4.0, 4.0  # the most that a head moves between frames
