"""MRI2PET: 3-D diffusion from T1-weighted MRI to amyloid PET, with its controls.

The slim core is `model`, `blocks`, `schedule`, `loss`, `style` and `synthesis`.
It needs torch, numpy and pydantic only and imports nothing of the rest.
"""

__version__ = "0.1.0"
