"""From a row of the plan to images: anatomy, MRI, PET and truth of some scans."""

from mri2pet.cohort import geometry
from mri2pet.cohort.phantom import anatomy, mri, pet
from mri2pet.cohort.phantom.atlas import load_atlases


def simulate(
    people, *, grid_mri, grid_pet, seed, work_mm, anatomies="", variability=1.0
):
    """Images and truth of some scans.

    Parameters
    ----------
    people : pandas.DataFrame
        Rows of :func:`mri2pet.cohort.phantom.plan.plan` (``person, visit, A, V,
        has_pet``).
    grid_mri, grid_pet : tuple of int
    seed : int
    work_mm : float
    anatomies : str
        Folder of segmented brains, or "" for MNI152.
    variability : float
        Multiplies the anatomical differences between people.

    Returns
    -------
    list of (dict of str to numpy.ndarray, dict of str to float)
        Volumes by kind (``mri`` and ``brain``, with a PET also ``pet`` and
        ``regions``), and what is measured on the noise-free phantom.

    Notes
    -----
    One scan at a time: matrix products of another batch size may differ in the last
    bit, and a scan's bytes must not depend on its neighbours.
    """
    atlases = load_atlases(anatomies, work_mm)
    work_shape = geometry.work_shape(work_mm)
    out = []
    for scan in people.itertuples():
        shape = anatomy.draw_shape(scan.person, seed=seed, variability=variability)
        atlas = atlases[shape.brain % len(atlases)]
        who = {"people": [scan.person], "visits": [scan.visit], "seed": seed}
        tissues = anatomy.build(atlas, [shape], [scan.V], work_shape)
        volumes = {"mri": mri.render(tissues, grid_mri, **who)}
        [known] = anatomy.measures(tissues)
        if scan.has_pet:
            uptake = pet.render_uptake(
                tissues, grid_pet, people=[scan.person], seed=seed
            )
            volumes["pet"] = pet.measure(uptake, [scan.A], **who)
            volumes["brain"], volumes["regions"] = uptake.brain, uptake.regions
            known.update(pet.truth(uptake, [scan.A])[0])
        else:
            _, volumes["brain"] = pet.region_weights(tissues, grid_pet)
        out.append(({kind: v[0].numpy() for kind, v in volumes.items()}, known))
    return out
